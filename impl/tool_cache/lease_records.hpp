// Who computes what, between processes.
//
//   <root>/.satchel/leases/<key>   one record: the boot, the deadline, the token of the lease
//   <root>/.satchel/leases/held    no content; whoever holds a lease locks the byte at its token
//   <root>/.satchel/locks/leases   held while a record is looked at or changed
//
// A lease is alive as long as the byte at its token is locked, and the kernel lets go of that when
// the process dies. It is the holder's as long as the record has its token: to take over a lease
// that is past its deadline is to write another token, after which its holder finds that it is no
// longer his, alive as he may be.
//
// Why a byte of one file rather than a lock on each record: one descriptor for all leases of a
// cache is one that a forked child must close, and can (core::ClosedInChild has few places); a
// record may be replaced or removed without a thought for who has it open; and a token is never
// used twice, so that no two holders, one alive past his deadline, want one byte.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/file.hpp"
#include "core/result.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/key_locks.hpp"

namespace satchel::tool_cache {

// Any thread.
class LeaseRecords {
 public:
  explicit LeaseRecords(const std::string& root);

  struct Taken {
    std::shared_ptr<LockFile::Opened> held;  // with the byte at `token` locked
    std::uint64_t token = 0;
  };
  // Nothing where another has it, alive and before his deadline.
  core::Result<std::optional<Taken>> take(const Key& key, std::int64_t lease_ns);
  core::Result<bool> still_has(const Key& key, const Taken& taken);
  void release(const Key& key, const Taken& taken) noexcept;
  // Whether take() would succeed now.
  core::Result<bool> is_free(const Key& key);
  // Removes the records of the dead, in whatever process they lived. How many.
  static core::Result<std::uint64_t> sweep(const std::string& root);

 private:
  struct Record;
  core::Result<std::optional<Record>> read(int directory_fd, const Key& key);
  core::Result<bool> is_held(int directory_fd, const Key& key, const LockFile::Opened& held,
                             bool past_deadline_too);
  core::Result<core::UniqueFd> open_directory();

  const std::string root_;
  LockFile held_;
  KeyLocks locks_;
};

}  // namespace satchel::tool_cache
