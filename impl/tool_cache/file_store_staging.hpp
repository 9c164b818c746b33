// Files on their way into the store: written under a name that nobody looks for, locked as long as
// their writer lives, renamed when whole. What a dead writer leaves is not locked, and the sweep
// removes it (orphans.hpp).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/file.hpp"
#include "core/result.hpp"

namespace satchel::tool_cache {

// How names in a shard begin that are such files: ours, where .satchel/tmp is on another
// filesystem, and the reference's.
constexpr std::string_view kStagedPrefix = ".satchel-tmp-";
constexpr std::string_view kReferencePrefix = ".verdant-tmp-";

// A directory with its path, for messages.
struct StagingPlace {
  core::UniqueFd fd;
  std::string path;
};

// Gone without a rename: the file is removed. One thread.
class StagedFile {
 public:
  static core::Result<std::unique_ptr<StagedFile>> make(std::shared_ptr<const StagingPlace> place);
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;
  ~StagedFile();

  core::Result<void> write(std::string_view bytes);
  // False where the directory is on another filesystem.
  [[nodiscard]] bool may_rename_to(int directory_fd) const;
  // 0 or errno; EXDEV also between two mounts of one filesystem. Afterwards it is the file of that
  // name, not ours any more.
  int rename_to(int directory_fd, const std::string& name);
  // A copy of it in another directory.
  core::Result<std::unique_ptr<StagedFile>> copy_to(std::shared_ptr<const StagingPlace> place);
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  StagedFile(std::shared_ptr<const StagingPlace> place, std::string name, core::UniqueFd fd);
  [[nodiscard]] std::string path() const;

  const std::shared_ptr<const StagingPlace> place_;
  const std::string name_;
  core::UniqueFd fd_;
  const int process_;
  bool named_ = true;  // there is a name that is ours to remove
};

// Whether its writer is dead. The lock is then held through `fd`, so that it stays so.
bool staged_file_is_abandoned(int fd);

}  // namespace satchel::tool_cache
