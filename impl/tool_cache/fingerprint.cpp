#include "tool_cache/fingerprint.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "core/blake3.hpp"
#include "core/file.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Result;

namespace {

constexpr std::string_view kDirectoryPrefix = "dir:";
constexpr std::string_view kStatPrefix = "stat:";

// Large enough for the widest SIMD and for the disk, small enough to stay in the cache of a core.
constexpr std::size_t kReadBytes = 256 << 10;

std::string hex_digest(const core::Blake3& hash) {
  const core::Hash256 digest = hash.digest();
  return core::hex(digest.data(), digest.size());
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Names one after the other in `bytes`, by where they begin and how long they are: a directory of
// a hundred thousand names is two allocations.
class Names {
 public:
  void add(const char* name) {
    const std::size_t length = std::strlen(name);
    spans_.push_back({bytes_.size(), length});
    bytes_.append(name, length);
  }

  std::string digest() {
    std::sort(spans_.begin(), spans_.end(),
              [this](const Span& a, const Span& b) { return view(a) < view(b); });
    core::Blake3 hash;
    for (const Span& span : spans_) {
      std::array<char, 8> length{};
      for (std::size_t i = 0; i < length.size(); ++i) {
        length[i] = static_cast<char>(span.length >> (8 * i) & 0xff);
      }
      hash.update({length.data(), length.size()});
      hash.update(view(span));
    }
    return hex_digest(hash);
  }

 private:
  struct Span {
    std::size_t begin;
    std::size_t length;
  };
  // Compares as bytes: char_traits<char> does.
  [[nodiscard]] std::string_view view(const Span& span) const {
    return std::string_view(bytes_).substr(span.begin, span.length);
  }

  std::string bytes_;
  std::vector<Span> spans_;
};

Result<std::string> stat_fingerprint(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return core::io_error("stat " + path, errno);
  return std::string(kStatPrefix) + std::to_string(status.st_size) + ':' +
         std::to_string(status.st_mtim.tv_sec) + ':' + std::to_string(status.st_mtim.tv_nsec);
}

}  // namespace

Form form_of(std::string_view expected) {
  if (expected.starts_with(kStatPrefix)) return Form::kStat;
  if (expected.starts_with(kDirectoryPrefix)) return Form::kDirectory;
  return Form::kContent;
}

Result<core::UniqueFd> open_for_fingerprint(const std::string& path, Form form) {
  // Opening is an act for a device or a FIFO, so that it is not even tried. Should one appear
  // between the two calls, O_NONBLOCK keeps it from holding us.
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return core::io_error("stat " + path, errno);
  const bool content = form == Form::kContent;
  const auto refuse = [&](mode_t mode) {
    const int os_errno = !content ? ENOTDIR : S_ISDIR(mode) ? EISDIR : EINVAL;
    return core::io_error("fingerprint of " + path, os_errno);
  };
  if (content ? !S_ISREG(status.st_mode) : !S_ISDIR(status.st_mode)) return refuse(status.st_mode);
  core::UniqueFd fd(::open(
      path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (content ? 0 : O_DIRECTORY)));
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return core::io_error("open " + path, errno);
  if (content && !S_ISREG(status.st_mode)) return refuse(status.st_mode);
  return fd;
}

// Not mapped: a file that is cut short while it is mapped kills the process that reads it.
Result<std::string> fingerprint_content(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return core::io_error("fingerprint", errno);
  // One byte more than the file has lets the first read reach its end.
  const std::size_t capacity =
      std::clamp<std::size_t>(static_cast<std::size_t>(status.st_size) + 1, 4096, kReadBytes);
  const auto buffer = std::make_unique_for_overwrite<char[]>(capacity);
  core::Blake3 hash;
  for (off_t offset = 0;;) {
    const ssize_t got = ::pread(fd, buffer.get(), capacity, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return core::io_error("fingerprint: read", errno);
    if (got == 0) return hex_digest(hash);
    hash.update({buffer.get(), static_cast<std::size_t>(got)});
    offset += got;
  }
}

Result<std::string> fingerprint_directory(int fd) {
  // closedir() closes the descriptor with it, so it gets one of its own.
  const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return core::io_error("fingerprint of a directory", errno);
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(own));
  if (directory == nullptr) {
    const int os_errno = errno;
    ::close(own);
    return core::io_error("fingerprint of a directory", os_errno);
  }
  ::rewinddir(directory.get());  // it reads on where the given one stands
  Names names;
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.add(entry->d_name);
  }
  if (errno != 0) return core::io_error("fingerprint of a directory: read", errno);
  return std::string(kDirectoryPrefix) + names.digest();
}

Result<std::string> fingerprint(const std::string& path, Form form) {
  if (form == Form::kStat) return stat_fingerprint(path);
  Result<core::UniqueFd> fd = open_for_fingerprint(path, form);
  if (!fd) return fd.take_error();
  Result<std::string> done =
      form == Form::kContent ? fingerprint_content(fd->get()) : fingerprint_directory(fd->get());
  if (done) return done;
  Error error = done.take_error();
  error.message += " (" + path + ")";
  return error;
}

std::uint64_t content_ceiling() {
  constexpr std::uint64_t kDefault = 100 << 20;
  const char* const set = std::getenv("VERDANT_HASH_MAX_BYTES");
  if (set == nullptr) return kDefault;
  // What Rust parses as u64: digits, perhaps after a plus.
  std::string_view text = set;
  if (text.starts_with('+')) text.remove_prefix(1);
  std::uint64_t ceiling = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), ceiling);
  return problem == std::errc() && end == text.data() + text.size() ? ceiling : kDefault;
}

}  // namespace satchel::tool_cache
