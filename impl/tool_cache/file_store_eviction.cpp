#include "tool_cache/file_store_eviction.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/file.hpp"
#include "core/file_stamp.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

using Visit = std::function<void(const char* name, const struct stat& status)>;

bool facts_of(int directory_fd, const std::string& name, int flags, struct stat* status) {
  return ::fstatat(directory_fd, name.c_str(), status, flags) == 0;
}

core::Result<core::UniqueFd> open_directory(int parent, const std::string& name,
                                            const std::string& path, int flags) {
  core::UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
  if (fd.valid() || errno == ENOENT) return fd;
  return core::io_error("cannot read directory " + path, errno);
}

// Each file one level below the root. What vanishes meanwhile was not there.
core::Result<void> walk(const std::string& root, const Visit& visit) {
  core::Result<core::UniqueFd> top = open_directory(AT_FDCWD, root, root, 0);
  if (!top.ok()) return top.take_error();
  if (!top->valid()) return {};
  std::vector<std::string> directories;
  struct stat status {};
  int problem = for_each_name(top->get(), [&](const char* name) {
    const bool known = facts_of(top->get(), name, AT_SYMLINK_NOFOLLOW, &status);
    if (known && S_ISDIR(status.st_mode)) directories.emplace_back(name);
  });
  if (problem != 0) return core::io_error("cannot read directory " + root, problem);
  for (const std::string& name : directories) {
    std::string path = root;
    path.append("/").append(name);
    core::Result<core::UniqueFd> fd = open_directory(top->get(), name, path, O_NOFOLLOW);
    if (!fd.ok()) return fd.take_error();
    if (!fd->valid()) continue;
    problem = for_each_name(fd->get(), [&](const char* file) {
      if (facts_of(fd->get(), file, AT_SYMLINK_NOFOLLOW, &status)) visit(file, status);
    });
    if (problem != 0) return core::io_error("cannot read directory " + path, problem);
  }
  return {};
}

std::optional<Key> key_before(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  return Key::of_name(name.substr(0, name.size() - suffix.size()));
}

}  // namespace

core::Result<std::uint64_t> count_bytes(const std::string& root) {
  std::uint64_t total = 0;
  core::Result<void> walked = walk(root, [&](const char*, const struct stat& status) {
    if (S_ISREG(status.st_mode)) total += static_cast<std::uint64_t>(status.st_size);
  });
  if (!walked.ok()) return walked.take_error();
  return total;
}

core::Result<std::vector<EntryAge>> entries_by_age(const std::string& root) {
  std::vector<EntryAge> entries;
  const auto in_shard = [&](const Key& key, const std::string& name, struct stat* status) {
    std::string path = root + '/';
    path.append(shard_name(shard_of(key))).append("/").append(name);
    return facts_of(AT_FDCWD, path, 0, status);
  };
  core::Result<void> walked = walk(root, [&](const char* name, const struct stat& status) {
    EntryAge entry;
    entry.mtime_ns = core::stamp_of(status).mtime_ns;
    entry.bytes = static_cast<std::uint64_t>(status.st_size);
    struct stat other {};
    if (const std::optional<Key> key = key_before(name, kPayloadSuffix)) {
      entry.key = *key;
      if (in_shard(*key, meta_name(*key), &other)) {
        entry.bytes += static_cast<std::uint64_t>(other.st_size);
      }
    } else if (const std::optional<Key> of_meta = key_before(name, kMetaSuffix)) {
      entry.key = *of_meta;
      if (in_shard(*of_meta, payload_name(*of_meta), &other)) return;
    } else {
      return;
    }
    entries.push_back(entry);
  });
  if (!walked.ok()) return walked.take_error();
  std::sort(entries.begin(), entries.end(), [](const EntryAge& a, const EntryAge& b) {
    return std::tie(a.mtime_ns, a.key) < std::tie(b.mtime_ns, b.key);
  });
  return entries;
}

}  // namespace satchel::tool_cache
