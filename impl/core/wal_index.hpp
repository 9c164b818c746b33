// SQLite's wal-index (the -shm file) without mapping it.
//
// SQLite's own implementation maps the file. Whoever truncates it then - a full-disk script, a
// `> file`, a restore from backup - makes the next access raise SIGBUS, which kills the host, and a
// library may not install signal handlers. Checking the size before each access only narrows the
// race. So every connection works on a copy in its own memory, read with pread and written back
// with pwrite: a file that was cut short is an error code, and nothing else.
//
// Why that is right. SQLite gets at the wal-index only between calls of xShmLock and xShmBarrier,
// and its protocol (walformat.html, "WAL-Index File Locking Methods") changes each part only under
// an exclusive lock of that part. A copy that is
//   - read anew after an exclusive lock was granted, and at every barrier under a lock, and
//   - written back, the header's first copy last, at every barrier and before an exclusive lock is
//     given up,
// is what a processor with a large store buffer would show, and barriers and locks are where such a
// processor must agree with the others. A reader's first look is taken without a lock and may find
// an old header here; it takes the lock that this header asks for, and the barrier after it shows
// the present one, so that it begins again, as it does when a writer came in between. Format,
// locked bytes and their meaning are SQLite's own: processes with the usual implementation (the
// sqlite3 shell) can use the same database meanwhile.
//
// Locks are those of an open file description (F_OFD_SETLK), one description a connection. They
// conflict with the POSIX locks of other programs as they should, and need no bookkeeping among the
// connections of one process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/file.hpp"

namespace satchel::core {

// Of one connection; one thread at a time. Returns SQLite's codes. Never throws: SQLite is in C.
class WalIndex {
 public:
  explicit WalIndex(std::string path) : path_(std::move(path)) {}
  WalIndex(const WalIndex&) = delete;
  WalIndex& operator=(const WalIndex&) = delete;

  // sqlite3_io_methods: xShmMap, xShmLock, xShmBarrier, xShmUnmap. The file is never deleted, for
  // another file may stand at its path by then.
  int map(int region, int region_bytes, bool extend, void volatile** out) noexcept;
  int lock(int offset, int count, int flags) noexcept;
  void barrier() noexcept;
  void unmap() noexcept;

  // The file was cut short or could not be written: what this connection says is not to be
  // trusted, and every lock is refused from then on.
  [[nodiscard]] bool broken() const { return broken_; }
  // The file that is open, if one is.
  [[nodiscard]] std::optional<FileIdentity> identity() const;

 private:
  struct Region {
    std::unique_ptr<std::uint64_t[]> memory;     // what SQLite sees and changes
    std::unique_ptr<std::uint64_t[]> published;  // the file, as last read or written
  };

  int attach();
  int add_region(bool extend, bool* added);
  [[nodiscard]] bool skips_regions(std::size_t region) const;
  bool extend_to(std::uint64_t bytes);
  bool read_region(std::size_t region);
  bool reload_header();
  bool reload_all();
  bool publish();
  bool publish_body(std::size_t region);
  bool publish_span(std::size_t region, std::size_t begin, std::size_t end);
  void give_up();

  const std::string path_;
  UniqueFd file_;
  std::optional<ClosedInChild> closed_in_child_;
  std::vector<Region> regions_;
  std::uint32_t shared_ = 0;     // locks held, a bit each
  std::uint32_t exclusive_ = 0;  // likewise
  bool broken_ = false;
};

}  // namespace satchel::core
