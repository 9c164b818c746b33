#include "prompt_cache/sqlite_files.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

namespace satchel::prompt_cache {
namespace {

std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path result = std::filesystem::absolute(path, error);
  return error ? path : result.lexically_normal().string();
}

core::Result<void> require_regular_or_absent(const std::string& path) {
  switch (core::file_facts(path).kind) {
    case core::FileKind::kAbsent:
    case core::FileKind::kRegular:
      return {};
    case core::FileKind::kSymlink:
      return core::Error{core::Status::kIo, path + " is a symbolic link, not followed", ELOOP};
    case core::FileKind::kDirectory:
    case core::FileKind::kOther:
      break;
  }
  return core::Error{core::Status::kIo, path + " is not a regular file", EINVAL};
}

core::Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return core::io_error("cannot remove " + path, errno);
}

}  // namespace

IndexLock::~IndexLock() {
  // Explicitly: a descriptor that a forked child inherited would keep it otherwise.
  core::lock_range(file_.get(), core::LockKind::kNone, static_cast<std::int64_t>(purpose_), 1);
}

SqliteFiles::SqliteFiles(const std::string& directory)
    : directory_(absolute(directory)),
      database_(directory_ + "/prompt_cache.db"),
      wal_(database_ + "-wal"),
      shm_(database_ + "-shm"),
      lock_(directory_ + "/prompt_cache.lock") {}

core::Result<void> SqliteFiles::make_directory() const {
  return core::make_private_directory(directory_);
}

core::Result<std::unique_ptr<IndexLock>> SqliteFiles::lock(IndexLock::Purpose purpose,
                                                           std::int64_t patience_ns) const {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point give_up = Clock::now() + std::chrono::nanoseconds(patience_ns);
  const auto byte = static_cast<std::int64_t>(purpose);
  for (;;) {
    core::Result<core::UniqueFd> file = core::open_private_file(lock_);
    if (!file.ok()) return file.take_error();
    const int refused = core::lock_range(file.value().get(), core::LockKind::kExclusive, byte, 1);
    if (refused != 0 && refused != EAGAIN) return core::io_error("cannot lock " + lock_, refused);
    // The lock of a file that was removed meanwhile keeps nobody out.
    if (refused == 0 &&
        core::file_identity(file.value().get()) == core::file_facts(lock_).identity) {
      return std::unique_ptr<IndexLock>(new IndexLock(std::move(file.value()), purpose));
    }
    if (Clock::now() >= give_up) return std::unique_ptr<IndexLock>();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

core::Result<void> SqliteFiles::make_database() const {
  for (const std::string& path : {database_, wal_, shm_}) {
    if (core::Result<void> sound = require_regular_or_absent(path); !sound.ok()) return sound;
  }
  if (core::file_facts(database_).kind == core::FileKind::kRegular) return {};
  // Left behind by a database that is gone, they would be taken for parts of the new one.
  for (const std::string& path : {wal_, shm_}) {
    if (core::Result<void> removed = remove_file(path); !removed.ok()) return removed;
  }
  return core::create_private_file(database_);
}

core::Result<void> SqliteFiles::set_aside() const {
  // The WAL first: without it the database alone is at worst an older state of itself.
  for (const std::string& path : {wal_, shm_}) {
    if (core::Result<void> removed = remove_file(path); !removed.ok()) return removed;
  }
  const std::string damaged = database_ + ".damaged";
  if (std::rename(database_.c_str(), damaged.c_str()) == 0 || errno == ENOENT) return {};
  return core::io_error("cannot rename " + database_, errno);
}

FilesAtPath SqliteFiles::look() const {
  return {core::file_facts(database_), core::file_facts(wal_), core::file_facts(shm_)};
}

}  // namespace satchel::prompt_cache
