// Where a PostgreSQL server is, as its connection string says.
#pragma once

#include <cstddef>
#include <string>

#include "core/libpq.hpp"
#include "core/result.hpp"

namespace satchel::prompt_cache {

// The hosts to try, one after the other: lists with commas, in place of those of the connection
// string. An empty one changes nothing.
struct PostgresOrder {
  std::string hosts;
  std::string addresses;  // "hostaddr"
  std::string ports;
};

struct PostgresAddress {
  std::string shown;      // "db-1:5432,db-2:5432": of the connection string, what is no secret
  std::size_t hosts = 1;  // that are tried one after the other
  PostgresOrder as_written;

  // The same hosts, beginning with another one; any number counts round.
  [[nodiscard]] PostgresOrder beginning_with(std::size_t first) const;
};

// kConfig: libpq would not take it, or would take a part of the password for something else.
core::Result<PostgresAddress> read_postgres_address(const core::LibPq& pq,
                                                    const std::string& conninfo);

}  // namespace satchel::prompt_cache
