// Who changes an entry holds its key: against other processes by a lock on a byte of a file, which
// the kernel releases when its holder dies, and against threads of this process by a mutex, for
// they share the file's description. Keys share 4096 stripes. Held for a few renames, never while
// payloads are written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/result.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {

// A file that exists to be locked, in a directory of ours. Opened when it is first needed, and
// again when somebody has removed it: a lock on a file that others cannot find excludes nobody.
class LockFile {
 public:
  // `directory` is made below `root`.
  LockFile(std::string root, std::string directory, const std::string& name);

  class Opened {
   public:
    explicit Opened(core::UniqueFd fd);
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    ~Opened();
    [[nodiscard]] int fd() const { return fd_->get(); }
    // Whether a fork lies between: the child has no such descriptor.
    [[nodiscard]] bool forked() const;

   private:
    friend class LockFile;
    std::unique_ptr<core::UniqueFd> fd_;
    const core::FileIdentity identity_;
    const int process_;
    const core::ClosedInChild closed_in_child_;  // goes before the descriptor does
  };
  // kForked in a child of the process that opened it.
  core::Result<std::shared_ptr<Opened>> open();
  // Whether `opened` is the file at the path; if it is not, open() will open anew.
  bool is_current(const Opened& opened);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  const std::string root_;
  const std::string directory_;
  const std::string path_;
  std::mutex mutex_;
  std::shared_ptr<Opened> opened_;
};

class KeyLocks {
 public:
  // The file <root>/.satchel/locks/<name>.
  KeyLocks(const std::string& root, const std::string& name,
           std::int64_t patience_ns = 5 * core::kNanosPerSecond);
  KeyLocks(const KeyLocks&) = delete;
  KeyLocks& operator=(const KeyLocks&) = delete;

  class Held {
   public:
    Held(Held&&) noexcept = default;
    Held& operator=(Held&&) = delete;
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held();

   private:
    friend class KeyLocks;
    Held(std::unique_lock<std::mutex> thread, std::shared_ptr<LockFile::Opened> file,
         std::int64_t stripe);
    std::unique_lock<std::mutex> thread_;
    std::shared_ptr<LockFile::Opened> file_;
    std::int64_t stripe_;
  };
  // Waits as long as patience lasts, then kBusy.
  core::Result<Held> hold(const Key& key);

 private:
  static constexpr std::int64_t kStripes = 4096;
  const std::int64_t patience_ns_;
  LockFile file_;
  // One a stripe: two stripes of one mutex would do, two mutexes of one stripe would not.
  std::array<std::mutex, 256> threads_;
};

}  // namespace satchel::tool_cache
