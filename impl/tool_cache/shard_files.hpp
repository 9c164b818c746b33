// The directories and files below a store's root, reached through descriptors: no symbolic link
// below the root is ever followed. The root itself is what the host named, links and all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/file.hpp"
#include "core/file_stamp.hpp"
#include "core/result.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {

constexpr int kShards = 256;
constexpr std::string_view kPayloadSuffix = ".payload";
constexpr std::string_view kMetaSuffix = ".meta.json";
constexpr std::string_view kStagingDirectory = ".satchel/tmp";

// Two lowercase hexadecimal digits.
std::string shard_name(int shard);
inline int shard_of(const Key& key) { return key.bytes[0]; }
std::string payload_name(const Key& key);
std::string meta_name(const Key& key);

// io_error, or kNoSpace where disk or quota is full.
core::Error disk_error(const std::string& what, int os_errno);
core::Error full_disk_told_apart(core::Error error);

enum class Missing : std::uint8_t { kLeave, kMake };

// The directory `below` ("ab", ".satchel/tmp") of `root`. Not valid where it is missing and left
// so; made with mode 0700 otherwise, the root too. A symbolic link is an error. What root makes in
// another user's store is that user's, or a gateway started by root once would lock itself out.
core::Result<core::UniqueFd> open_below(const std::string& root, std::string_view below,
                                        Missing missing);
// Gives a file or directory that root has just made to the owner of `directory_fd`.
void give_to_owner_of(int directory_fd, int fd);

struct OpenedFile {
  core::UniqueFd fd;  // not valid where the file is missing
  core::FileStamp stamp;
};
// For reading. What is no regular file is an error; `directory` names the place in messages.
core::Result<OpenedFile> open_file(int directory_fd, const std::string& name,
                                   const std::string& directory);

// Each name in the directory but "." and "..". 0 or errno.
int for_each_name(int directory_fd, const std::function<void(const char* name)>& visit);

}  // namespace satchel::tool_cache
