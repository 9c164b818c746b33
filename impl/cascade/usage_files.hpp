// The three small files that processes share: two of them with linesmith, one of our own. In a
// directory (disk_files.hpp), or wherever the host keeps them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/file_stamp.hpp"
#include "core/result.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

// Numbers equal SATCHEL_FILE_*; abi/ asserts it.
enum class UsageFile : std::int32_t { kCache = 0, kLock = 1, kObserved = 2 };
constexpr std::size_t kUsageFileCount = 3;

// "usage.json"
const char* usage_file_name(UsageFile file);

struct FileContent {
  enum class State : std::uint8_t { kAbsent, kRead, kUnchanged };
  State state = State::kAbsent;
  std::string bytes;           // where it was read
  core::Timestamp written_at;  // likewise
  // Likewise: as long as it is the same, so are the bytes. None: the next read may not rely on it.
  std::optional<core::FileStamp> stamp;
};

class UsageFiles {
 public:
  UsageFiles() = default;
  UsageFiles(const UsageFiles&) = delete;
  UsageFiles& operator=(const UsageFiles&) = delete;
  virtual ~UsageFiles() = default;

  // Any thread. `known`: the stamp of what the caller has read before, or null.
  virtual core::Result<FileContent> read(UsageFile file, const core::FileStamp* known) = 0;
  // Replaces the whole file at once.
  virtual core::Result<void> write(UsageFile file, std::string_view bytes) = 0;
  // Fine where there is none.
  virtual core::Result<void> remove(UsageFile file) = 0;
};

}  // namespace satchel::cascade
