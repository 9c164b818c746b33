// A directory that is gone when its owner is, and files in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace vectors {

class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The working directory for as long as it lives; then it is again what it was.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const std::filesystem::path& path);
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;
  ~WorkingDirectory();

 private:
  int before_;
};

// Throws std::runtime_error. Directories above are made.
void write_file(const std::filesystem::path& path, std::string_view bytes);
std::string read_file(const std::filesystem::path& path);
void set_mtime(const std::filesystem::path& path, std::int64_t seconds, std::int64_t nanoseconds);

}  // namespace vectors
