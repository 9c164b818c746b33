// An opened index: the file beside the store, with one connection that writes and one that reads,
// or memory, with one connection for both. When anything about it turns out wrong it is dropped as
// a whole and opened anew (index_slot.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/file.hpp"
#include "core/sqlite_files.hpp"
#include "tool_cache/index_connection.hpp"
#include "tool_cache/index_seal.hpp"

namespace satchel::tool_cache {

class IndexDatabase {
 public:
  struct Opened {
    core::SqliteFailure failure;
    std::shared_ptr<IndexDatabase> database;
    std::string set_aside;  // why a database was set aside, if one was
  };
  // Opens the database of the store with identity `store`; makes it where it is missing, and anew
  // where it is not sound, not of this store, or the file `damaged`.
  static Opened open_file(const core::SqliteFiles& files, const std::string& store,
                          const std::optional<core::FileIdentity>& damaged);
  static Opened open_memory(const std::string& store);

  explicit IndexDatabase(const core::SqliteFiles* files) : files_(files) {}
  IndexDatabase(const IndexDatabase&) = delete;
  IndexDatabase& operator=(const IndexDatabase&) = delete;
  // Empties the WAL where that is easily done: whoever opens the database first reads all of it.
  ~IndexDatabase();

  // A connection and the right to it.
  class Access {
   public:
    Access(std::mutex& mutex, IndexConnection& connection)
        : lock_(mutex), connection_(&connection) {}
    IndexConnection& operator*() const { return *connection_; }

   private:
    std::unique_lock<std::mutex> lock_;
    IndexConnection* connection_;
  };
  Access writer() { return {writer_mutex_, writer_}; }
  Access reader() {
    return in_memory() ? Access{writer_mutex_, writer_} : Access{reader_mutex_, reader_};
  }

  [[nodiscard]] bool in_memory() const { return files_ == nullptr; }
  // New with every database.
  [[nodiscard]] const std::string& generation() const { return generation_; }
  [[nodiscard]] core::FileIdentity identity() const { return opened_.database.identity; }

  // Whether the files at the path are still those that were opened, and nobody but us wrote to the
  // database. Any thread.
  core::SqliteFailure in_place();

  // With the writer: moves what the WAL holds into the database, when it is much.
  void checkpoint_if_due(IndexConnection& writer);

 private:
  static std::shared_ptr<IndexDatabase> connect(const core::SqliteFiles& files,
                                                const std::string& store, bool fresh,
                                                core::SqliteFailure& failure);
  core::SqliteFailure sealed();
  void checkpoint(IndexConnection& writer, int mode);

  const core::SqliteFiles* files_;
  core::FilesAtPath opened_;
  std::string generation_;
  std::mutex writer_mutex_;
  IndexConnection writer_;
  std::mutex reader_mutex_;
  IndexConnection reader_;
  std::mutex trusted_mutex_;
  std::optional<core::FileStamp> trusted_;  // the database as it was found sealed
};

}  // namespace satchel::tool_cache
