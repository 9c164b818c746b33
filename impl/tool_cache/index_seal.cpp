#include "tool_cache/index_seal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "core/file.hpp"

namespace satchel::tool_cache {
namespace {

using Words = std::array<std::uint64_t, 6>;

constexpr std::uint64_t kMagic = 0x53454154434c3031;

Words words_of(const core::FileStamp& stamp) {
  return {kMagic,
          stamp.device,
          stamp.inode,
          stamp.size,
          static_cast<std::uint64_t>(stamp.mtime_ns),
          static_cast<std::uint64_t>(stamp.ctime_ns)};
}

}  // namespace

std::optional<core::FileStamp> IndexSeal::database_now() const {
  std::optional<core::FileStamp> stamp = core::stamp_of_itself(AT_FDCWD, database_.c_str());
  // Nobody's content changes with the mode.
  if (stamp) stamp->mode = 0;
  return stamp;
}

std::optional<core::FileStamp> IndexSeal::read() const {
  const core::UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  Words words{};
  if (!fd.valid() || ::pread(fd.get(), words.data(), sizeof words, 0) != sizeof words ||
      words[0] != kMagic) {
    return std::nullopt;
  }
  core::FileStamp stamp;
  stamp.device = words[1];
  stamp.inode = words[2];
  stamp.size = words[3];
  stamp.mtime_ns = static_cast<std::int64_t>(words[4]);
  stamp.ctime_ns = static_cast<std::int64_t>(words[5]);
  return stamp;
}

core::Result<void> IndexSeal::write() const {
  const std::optional<core::FileStamp> stamp = database_now();
  if (!stamp) return core::io_error("cannot stat " + database_, errno);
  core::Result<core::UniqueFd> fd = core::open_private_file(path_);
  if (!fd) return fd.take_error();
  const Words words = words_of(*stamp);
  if (::pwrite(fd->get(), words.data(), sizeof words, 0) != sizeof words) {
    return core::io_error("cannot write " + path_, errno == 0 ? EIO : errno);
  }
  return {};
}

}  // namespace satchel::tool_cache
