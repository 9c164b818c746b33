// The files of an embedded index, in a directory of their own:
//   prompt_cache.db          the database, with -wal and -shm beside it
//   prompt_cache.db.damaged  what was found to be no database of ours, the last one
//   prompt_cache.lock        locks between processes: one byte to open or replace the database,
//                            one byte to sweep it
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/file.hpp"
#include "core/result.hpp"

namespace satchel::prompt_cache {

// Which files stand at the paths now.
struct FilesAtPath {
  core::FileFacts database;
  core::FileFacts wal;
  core::FileFacts shm;
};

// A lock of this process, or of one index in it, against all others; the kernel releases it when
// the process dies.
class IndexLock {
 public:
  enum class Purpose : std::uint8_t { kOpen = 0, kSweep = 1 };

  ~IndexLock();
  IndexLock(const IndexLock&) = delete;
  IndexLock& operator=(const IndexLock&) = delete;

 private:
  friend class SqliteFiles;
  IndexLock(core::UniqueFd file, Purpose purpose)
      : file_(std::move(file)), closed_in_child_(file_.get()), purpose_(purpose) {}

  core::UniqueFd file_;
  core::ClosedInChild closed_in_child_;
  Purpose purpose_;
};

class SqliteFiles {
 public:
  // Made absolute at once: the host may change its working directory.
  explicit SqliteFiles(const std::string& directory);

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const std::string& database() const { return database_; }

  // Makes the directory where it is missing.
  core::Result<void> make_directory() const;
  // Waits up to `patience_ns`; nullptr where another holds it.
  core::Result<std::unique_ptr<IndexLock>> lock(IndexLock::Purpose purpose,
                                                std::int64_t patience_ns) const;
  // Under the lock: makes an empty database file where there is none; refuses symbolic links and
  // whatever else is no regular file.
  core::Result<void> make_database() const;
  // Under the lock: what stands there is not to be used again.
  core::Result<void> set_aside() const;

  [[nodiscard]] FilesAtPath look() const;

 private:
  std::string directory_;
  std::string database_;
  std::string wal_;
  std::string shm_;
  std::string lock_;
};

}  // namespace satchel::prompt_cache
