#include "tool_cache/key_locks.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

constexpr microseconds kFirstPause{20};
constexpr microseconds kLongestPause{1'000};

// Pauses that grow, until patience ends.
class Backoff {
 public:
  explicit Backoff(std::int64_t patience_ns)
      : end_(Clock::now() + std::chrono::nanoseconds(patience_ns)) {}

  bool wait() {
    if (Clock::now() >= end_) return false;
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ * 2, kLongestPause);
    return true;
  }

 private:
  const Clock::time_point end_;
  microseconds pause_ = kFirstPause;
};

}  // namespace

LockFile::Opened::Opened(core::UniqueFd fd)
    : fd_(std::make_unique<core::UniqueFd>(std::move(fd))),
      identity_(core::file_identity(fd_->get())),
      process_(::getpid()),
      closed_in_child_(fd_->get()) {}

LockFile::Opened::~Opened() {
  // In a child it is closed already, and its number may be another file's.
  if (forked()) (void)fd_.release();  // NOLINT(bugprone-unused-return-value)
}

bool LockFile::Opened::forked() const { return ::getpid() != process_; }

LockFile::LockFile(std::string root, std::string directory, const std::string& name)
    : root_(std::move(root)),
      directory_(std::move(directory)),
      path_(root_ + '/' + directory_ + '/' + name) {}

core::Result<std::shared_ptr<LockFile::Opened>> LockFile::open() {
  const std::lock_guard guard(mutex_);
  if (opened_ == nullptr) {
    core::Result<core::UniqueFd> directory = open_below(root_, directory_, Missing::kMake);
    if (!directory.ok()) return directory.take_error();
    core::Result<core::UniqueFd> fd = core::open_private_file(path_);
    if (!fd.ok()) return full_disk_told_apart(fd.take_error());
    opened_ = std::make_shared<Opened>(std::move(*fd));
  }
  if (opened_->forked()) {
    return core::Error{core::Status::kForked, path_ + " was opened before a fork"};
  }
  return opened_;
}

bool LockFile::is_current(const Opened& opened) {
  if (core::file_facts(path_).identity == opened.identity_) return true;
  const std::lock_guard guard(mutex_);
  if (opened_.get() == &opened) opened_ = nullptr;
  return false;
}

KeyLocks::KeyLocks(const std::string& root, const std::string& name, std::int64_t patience_ns)
    : patience_ns_(patience_ns), file_(root, ".satchel/locks", name) {}

KeyLocks::Held::Held(std::unique_lock<std::mutex> thread, std::shared_ptr<LockFile::Opened> file,
                     std::int64_t stripe)
    : thread_(std::move(thread)), file_(std::move(file)), stripe_(stripe) {}

KeyLocks::Held::~Held() {
  if (file_ == nullptr || file_->forked()) return;
  (void)core::lock_range(file_->fd(), core::LockKind::kNone, stripe_, 1);
}

core::Result<KeyLocks::Held> KeyLocks::hold(const Key& key) {
  const std::int64_t stripe = (key.bytes[0] * 256 + key.bytes[1]) % kStripes;
  std::mutex& mutex = threads_.at(static_cast<std::size_t>(stripe) % threads_.size());
  Backoff backoff(patience_ns_);
  do {
    std::unique_lock thread(mutex, std::try_to_lock);
    if (!thread.owns_lock()) continue;
    core::Result<std::shared_ptr<LockFile::Opened>> file = file_.open();
    if (!file.ok()) return file.take_error();
    const int problem = core::lock_range((*file)->fd(), core::LockKind::kExclusive, stripe, 1);
    if (problem != 0 && problem != EAGAIN) {
      return core::io_error("cannot lock " + file_.path(), problem);
    }
    if (problem == EAGAIN) continue;
    Held held(std::move(thread), std::move(*file), stripe);
    if (file_.is_current(*held.file_)) return held;
  } while (backoff.wait());
  return core::Error{core::Status::kBusy, "another process keeps " + file_.path() + " locked"};
}

}  // namespace satchel::tool_cache
