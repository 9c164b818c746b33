// Where a Redis server is and who we are there: redis://[[user]:password@]host[:port][/database] or
// unix:/path.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/secret.hpp"

namespace satchel::core {

struct RedisCredentials {
  std::string user;
  Secret password;
};

struct RedisUrl {
  std::string host;  // empty with a path
  std::uint16_t port = 6379;
  std::string path;                                     // of a Unix socket
  std::shared_ptr<const RedisCredentials> credentials;  // may be null
  std::uint32_t database = 0;

  // "host:port", "[::1]:6379" or the path. No secrets.
  [[nodiscard]] std::string place() const;
};

// User and password may be percent-encoded. An error quotes nothing of the URL.
Result<RedisUrl> parse_redis_url(std::string_view text);

// "host:port" as cluster nodes name one another; the host may be left out where it is `asked`'s.
// Everything else is `asked`'s too.
Result<RedisUrl> redis_url_of_node(std::string_view host_and_port, const RedisUrl& asked);

}  // namespace satchel::core
