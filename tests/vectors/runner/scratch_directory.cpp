#include "scratch_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>

namespace vectors {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const char* what, const fs::path& path) {
  throw std::runtime_error(std::string("cannot ") + what + " " + path.string());
}

}  // namespace

ScratchDirectory::ScratchDirectory() {
  std::string name = (fs::temp_directory_path() / "satchel-vectors-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) fail("make", name);
  path_ = fs::canonical(name);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

WorkingDirectory::WorkingDirectory(const fs::path& path)
    : before_(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (before_ < 0 || chdir(path.c_str()) != 0) fail("work in", path);
}

WorkingDirectory::~WorkingDirectory() {
  if (fchdir(before_) != 0) { /* the next trace has a directory of its own all the same */
  }
  close(before_);
}

void write_file(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) fail("write", path);
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("read", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void set_mtime(const fs::path& path, std::int64_t seconds, std::int64_t nanoseconds) {
  const timespec time = {seconds, nanoseconds};
  const timespec times[2] = {time, time};
  if (utimensat(AT_FDCWD, path.c_str(), times, 0) != 0) fail("set the time of", path);
}

}  // namespace vectors
