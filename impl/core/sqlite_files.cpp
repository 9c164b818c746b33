#include "core/sqlite_files.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

namespace satchel::core {
namespace {

std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path result = std::filesystem::absolute(path, error);
  return error ? path : result.lexically_normal().string();
}

Result<void> require_regular_or_absent(const std::string& path) {
  switch (file_facts(path).kind) {
    case FileKind::kAbsent:
    case FileKind::kRegular:
      return {};
    case FileKind::kSymlink:
      return Error{Status::kIo, path + " is a symbolic link, not followed", ELOOP};
    case FileKind::kDirectory:
    case FileKind::kOther:
      break;
  }
  return Error{Status::kIo, path + " is not a regular file", EINVAL};
}

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return io_error("cannot remove " + path, errno);
}

}  // namespace

SqliteFailure still_in_place(const FilesAtPath& opened, const FilesAtPath& now) {
  if (now.database.kind == FileKind::kAbsent) {
    return {SqliteTrouble::kReplaced, "the database is gone"};
  }
  if (now.database.identity != opened.database.identity ||
      now.wal.identity != opened.wal.identity || now.shm.identity != opened.shm.identity) {
    return {SqliteTrouble::kReplaced, "the database's files were removed or replaced"};
  }
  return {};
}

DatabaseLock::~DatabaseLock() {
  // Explicitly: a descriptor that a forked child inherited would keep it otherwise.
  lock_range(file_.get(), LockKind::kNone, static_cast<std::int64_t>(purpose_), 1);
}

SqliteFiles::SqliteFiles(const std::string& directory, const std::string& name)
    : directory_(absolute(directory)),
      database_(directory_ + '/' + name + ".db"),
      wal_(database_ + "-wal"),
      shm_(database_ + "-shm"),
      lock_(directory_ + '/' + name + ".lock") {}

Result<void> SqliteFiles::make_directory() const { return make_private_directory(directory_); }

Result<std::unique_ptr<DatabaseLock>> SqliteFiles::lock(DatabaseLock::Purpose purpose,
                                                        std::int64_t patience_ns) const {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point give_up = Clock::now() + std::chrono::nanoseconds(patience_ns);
  const auto byte = static_cast<std::int64_t>(purpose);
  for (;;) {
    Result<UniqueFd> file = open_private_file(lock_);
    if (!file.ok()) return file.take_error();
    const int refused = lock_range(file.value().get(), LockKind::kExclusive, byte, 1);
    if (refused != 0 && refused != EAGAIN) return io_error("cannot lock " + lock_, refused);
    // The lock of a file that was removed meanwhile keeps nobody out.
    if (refused == 0 && file_identity(file.value().get()) == file_facts(lock_).identity) {
      return std::unique_ptr<DatabaseLock>(new DatabaseLock(std::move(file.value()), purpose));
    }
    if (Clock::now() >= give_up) return std::unique_ptr<DatabaseLock>();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

Result<void> SqliteFiles::make_database() const {
  for (const std::string& path : {database_, wal_, shm_}) {
    if (Result<void> sound = require_regular_or_absent(path); !sound.ok()) return sound;
  }
  if (file_facts(database_).kind == FileKind::kRegular) return {};
  // Left behind by a database that is gone, they would be taken for parts of the new one.
  for (const std::string& path : {wal_, shm_}) {
    if (Result<void> removed = remove_file(path); !removed.ok()) return removed;
  }
  return create_private_file(database_);
}

Result<void> SqliteFiles::set_aside() const {
  // The WAL first: without it the database alone is at worst an older state of itself.
  for (const std::string& path : {wal_, shm_}) {
    if (Result<void> removed = remove_file(path); !removed.ok()) return removed;
  }
  const std::string damaged = database_ + ".damaged";
  if (std::rename(database_.c_str(), damaged.c_str()) == 0 || errno == ENOENT) return {};
  return io_error("cannot rename " + database_, errno);
}

FilesAtPath SqliteFiles::look() const {
  return {file_facts(database_), file_facts(wal_), file_facts(shm_)};
}

}  // namespace satchel::core
