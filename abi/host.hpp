// The host's parts behind the library's interfaces.
#pragma once

#include <memory>
#include <string_view>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "satchel/satchel.h"

namespace satchel::abi {

// A callback table of the host: copied, and released once when nobody needs it any more, also when
// taking it failed.
template <class Table>
class HostTable {
 public:
  explicit HostTable(const Table& table) : table_(table) {}
  HostTable(const HostTable&) = delete;
  HostTable& operator=(const HostTable&) = delete;
  ~HostTable() {
    if (table_.release != nullptr) table_.release(table_.user);
  }
  const Table* operator->() const { return &table_; }
  const Table& operator*() const { return table_; }

 private:
  const Table table_;
};

// Takes a table over. Released even where there is no memory to keep it.
template <class Table>
std::shared_ptr<HostTable<Table>> take_table(const Table& table) {
  try {
    return std::make_shared<HostTable<Table>>(table);
  } catch (...) {
    if (table.release != nullptr) table.release(table.user);
    throw;
  }
}

// What a satchel handle stands for; engines opened from it share it.
struct Context {
  std::shared_ptr<HostTable<satchel_host>> host;  // null: built-ins only
  std::unique_ptr<core::Log> log;
  std::unique_ptr<core::Clock> host_clock;
  [[nodiscard]] core::Clock& clock() const {
    return host_clock ? *host_clock : core::system_clock();
  }
};

// `host` may be null. Reads the configuration of satchel_open.
core::Result<std::shared_ptr<Context>> make_context(
    const std::shared_ptr<HostTable<satchel_host>>& host, std::string_view config);

}  // namespace satchel::abi
