#include "core/redis_url.hpp"

#include <charconv>
#include <limits>
#include <optional>

namespace satchel::core {
namespace {

constexpr std::string_view kTcp = "redis://";
constexpr std::string_view kTls = "rediss://";
constexpr std::string_view kUnix = "unix:";

Error refused(std::string message) { return {Status::kConfig, std::move(message)}; }

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Into memory that is wiped, whatever it is.
std::optional<Secret> percent_decoded(std::string_view text) {
  Secret whole(text.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      unsigned char byte = 0;
      if (text.size() - i < 3) return std::nullopt;
      const char* end = text.data() + i + 3;
      if (std::from_chars(end - 2, end, byte, 16).ptr != end) return std::nullopt;
      c = static_cast<char>(byte);
      i += 2;
    }
    whole.data()[size++] = c;
  }
  return Secret(whole.view().substr(0, size));
}

Result<std::shared_ptr<const RedisCredentials>> credentials(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return refused("a user without a password");
  const std::optional<Secret> user = percent_decoded(text.substr(0, colon));
  std::optional<Secret> password = percent_decoded(text.substr(colon + 1));
  if (!user || !password) return refused("a broken percent-encoding before the @");
  auto both = std::make_shared<RedisCredentials>();
  both->user = user->view();
  both->password = std::move(*password);
  return std::shared_ptr<const RedisCredentials>(std::move(both));
}

// "host", "host:port", "[v6]:port".
Result<void> read_host_and_port(std::string_view text, RedisUrl& url) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return refused("a [ without its ]");
    url.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    url.host = text.substr(0, colon);
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  if (url.host.empty()) return refused("no host");
  if (port.empty()) return Ok{};
  const std::optional<std::uint16_t> value =
      port.starts_with(':') ? number<std::uint16_t>(port.substr(1)) : std::nullopt;
  if (!value || *value == 0) return refused("a port that is no number from 1 to 65535");
  url.port = *value;
  return Ok{};
}

}  // namespace

std::string RedisUrl::place() const {
  if (host.empty()) return path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

Result<RedisUrl> parse_redis_url(std::string_view text) {
  RedisUrl url;
  if (text.starts_with(kUnix)) {
    url.path = text.substr(kUnix.size());
    if (!url.path.starts_with('/')) return refused("unix: needs an absolute path");
    if (url.path.find('\0') != std::string::npos) return refused("a path with a zero byte");
    return url;
  }
  if (text.starts_with(kTls)) return refused("TLS to Redis is not supported");
  if (!text.starts_with(kTcp)) return refused("it begins with neither redis:// nor unix:");
  text.remove_prefix(kTcp.size());
  if (text.find('\0') != std::string_view::npos) return refused("a zero byte");
  const std::size_t at = text.rfind('@');
  if (at != std::string_view::npos) {
    auto both = credentials(text.substr(0, at));
    if (!both) return both.take_error();
    url.credentials = std::move(*both);
    text.remove_prefix(at + 1);
  }
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos && slash + 1 < text.size()) {
    const std::optional<std::uint32_t> database = number<std::uint32_t>(text.substr(slash + 1));
    if (!database) return refused("a database that is no number");
    url.database = *database;
  }
  Result<void> read = read_host_and_port(text.substr(0, slash), url);
  if (!read) return read.take_error();
  return url;
}

Result<RedisUrl> redis_url_of_node(std::string_view host_and_port, const RedisUrl& asked) {
  RedisUrl url = asked;
  const std::size_t colon = host_and_port.rfind(':');  // an address of IPv6 comes without brackets
  const std::optional<std::uint16_t> port =
      colon == std::string_view::npos ? std::nullopt
                                      : number<std::uint16_t>(host_and_port.substr(colon + 1));
  if (!port || *port == 0) return Error{Status::kIo, "a node without a port"};
  url.port = *port;
  const std::string_view host = host_and_port.substr(0, colon);
  if (host.find('\0') != std::string_view::npos) return Error{Status::kIo, "a node without a name"};
  if (!host.empty() && host != "?") url.host = host;
  return url;
}

}  // namespace satchel::core
