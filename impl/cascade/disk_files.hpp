// The files in a directory, $XDG_CACHE_HOME/linesmith by default.
#pragma once

#include <array>
#include <string>

#include "cascade/usage_files.hpp"

namespace satchel::cascade {

// The largest file that is read: a thousand times what the endpoint sends.
constexpr std::size_t kUsageFileMaxBytes = std::size_t{1} << 20;

class DiskFiles final : public UsageFiles {
 public:
  explicit DiskFiles(const std::string& directory);

  core::Result<FileContent> read(UsageFile file, const core::FileStamp* known) override;
  // Makes the directory where it is missing. The new file is on the disk before it is renamed over
  // the old one; what is only a hint to others, kObserved, may be lost with the power.
  core::Result<void> write(UsageFile file, std::string_view bytes) override;
  core::Result<void> remove(UsageFile file) override;

 private:
  [[nodiscard]] const std::string& path(UsageFile file) const {
    return paths_[static_cast<std::size_t>(file)];
  }

  const std::string directory_;
  std::array<std::string, kUsageFileCount> paths_;
};

// Makes the directory, private, where it is missing. One that is reached by a symbolic link is
// taken: a cache directory is the user's to move.
core::Result<void> make_cache_directory(const std::string& directory);

}  // namespace satchel::cascade
