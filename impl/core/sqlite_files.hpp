// The files of an embedded database called `name`, in a directory of their own:
//   <name>.db          the database, with -wal and -shm beside it
//   <name>.db.damaged  what was found to be no database of ours, the last one
//   <name>.lock        locks between processes: one byte to open or replace the database,
//                      one byte to sweep it
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/file.hpp"
#include "core/result.hpp"
#include "core/sqlite_connection.hpp"

namespace satchel::core {

// Which files stand at the paths now.
struct FilesAtPath {
  FileFacts database;
  FileFacts wal;
  FileFacts shm;
};

// kReplaced where they are not the ones that were opened.
SqliteFailure still_in_place(const FilesAtPath& opened, const FilesAtPath& now);

// A lock of this process, or of one user of the database in it, against all others; the kernel
// releases it when the process dies.
class DatabaseLock {
 public:
  enum class Purpose : std::uint8_t { kOpen = 0, kSweep = 1 };

  ~DatabaseLock();
  DatabaseLock(const DatabaseLock&) = delete;
  DatabaseLock& operator=(const DatabaseLock&) = delete;

 private:
  friend class SqliteFiles;
  DatabaseLock(UniqueFd file, Purpose purpose)
      : file_(std::move(file)), closed_in_child_(file_.get()), purpose_(purpose) {}

  UniqueFd file_;
  ClosedInChild closed_in_child_;
  Purpose purpose_;
};

class SqliteFiles {
 public:
  // Made absolute at once: the host may change its working directory.
  SqliteFiles(const std::string& directory, const std::string& name);

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const std::string& database() const { return database_; }

  // Makes the directory where it is missing.
  Result<void> make_directory() const;
  // Waits up to `patience_ns`; nullptr where another holds it.
  Result<std::unique_ptr<DatabaseLock>> lock(DatabaseLock::Purpose purpose,
                                             std::int64_t patience_ns) const;
  // Under the lock: makes an empty database file where there is none; refuses symbolic links and
  // whatever else is no regular file.
  Result<void> make_database() const;
  // Under the lock: what stands there is not to be used again.
  Result<void> set_aside() const;

  [[nodiscard]] FilesAtPath look() const;

 private:
  std::string directory_;
  std::string database_;
  std::string wal_;
  std::string shm_;
  std::string lock_;
};

}  // namespace satchel::core
