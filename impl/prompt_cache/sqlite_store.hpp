// An opened database: its files, one connection that writes, a few that read. When anything about
// it turns out wrong it is dropped as a whole and opened anew.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/sqlite_connection.hpp"
#include "core/sqlite_files.hpp"
#include "prompt_cache/sqlite_reader.hpp"
#include "prompt_cache/sqlite_writer.hpp"

namespace satchel::prompt_cache {

class SqliteStore {
 public:
  struct Opened {
    core::SqliteFailure failure;
    std::shared_ptr<SqliteStore> store;
    std::string set_aside;  // why a database was set aside, if one was
  };
  // Opens the database, and makes directory and database where they are missing. One that is no
  // sound database, or is the file `damaged`, is set aside and made anew; never under another
  // process that does the same, and never one that another process has made anew already.
  static Opened open(const core::SqliteFiles& files, std::uint64_t max_bytes, std::size_t readers,
                     const std::optional<core::FileIdentity>& damaged);

  // Whether the files at the path are still those that were opened. SQLite would not notice: it
  // would go on with files that nobody else sees, or, worse, with half of them.
  core::SqliteFailure in_place();

  [[nodiscard]] core::FileIdentity database() const { return opened_.database.identity; }

  // The thread that writes only.
  SqliteWriter& writer() { return writer_; }

  // A reader, given back when it goes; empty where all were taken for `patience`.
  class Lease {
   public:
    Lease(std::shared_ptr<SqliteStore> store, SqliteReader* reader)
        : store_(std::move(store)), reader_(reader) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      if (reader_ != nullptr) store_->give_back(reader_);
    }
    explicit operator bool() const { return reader_ != nullptr; }
    SqliteReader* operator->() const { return reader_; }

   private:
    std::shared_ptr<SqliteStore> store_;
    SqliteReader* reader_;
  };
  static Lease borrow(const std::shared_ptr<SqliteStore>& store, std::int64_t patience_ns);

  explicit SqliteStore(const core::SqliteFiles& files) : files_(files) {}
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

 private:
  core::SqliteFailure connect(std::uint64_t max_bytes, std::size_t readers);
  bool shares_wal_index() const;
  void give_back(SqliteReader* reader);

  const core::SqliteFiles& files_;
  core::FilesAtPath opened_;
  std::atomic<std::uint64_t> largest_seen_{0};
  SqliteWriter writer_;
  std::vector<std::unique_ptr<SqliteReader>> readers_;
  std::mutex free_mutex_;
  std::condition_variable free_changed_;
  std::vector<SqliteReader*> free_;
};

}  // namespace satchel::prompt_cache
