// How the index's database knows that nobody else wrote into it.
//
// SQLite does not see bytes that change under it, and an index that lacks a row is an entry that is
// served when it should be gone. But in WAL mode the database file changes at checkpoints only, and
// those are made by IndexDatabase alone, one at a time: it writes down beside the database what
// stat says of it afterwards. A file that is not as written down was written to by others - noise,
// an old copy put back, an editor - or by a process that died in the middle; it is not believed,
// and the index is made anew from the store. The sqlite3 shell can read meanwhile; where it is the
// last to close the database it makes a checkpoint, which costs a rebuild and nothing else. (What
// the WAL holds has checksums, which SQLite compares when it is opened.)
#pragma once

#include <optional>
#include <string>

#include "core/file_stamp.hpp"
#include "core/result.hpp"

namespace satchel::tool_cache {

class IndexSeal {
 public:
  explicit IndexSeal(const std::string& database)
      : database_(database), path_(database + ".seal") {}

  // What stat says of the database now; nothing where there is none.
  [[nodiscard]] std::optional<core::FileStamp> database_now() const;
  // What was written down; nothing where that cannot be read.
  [[nodiscard]] std::optional<core::FileStamp> read() const;
  // Writes down what stat says now.
  [[nodiscard]] core::Result<void> write() const;

 private:
  std::string database_;
  std::string path_;
};

}  // namespace satchel::tool_cache
