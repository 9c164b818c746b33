#include "core/base_url.hpp"

#include <string_view>

namespace satchel::core {
namespace {

// The host of a URL, in lower case letters where it is written so.
std::string_view host_of(std::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos)
    url.remove_prefix(at + 1);
  if (url.starts_with('[')) return url.substr(0, url.find(']') + 1);
  return url.substr(0, url.find(':'));
}

// Names and addresses that never leave the machine.
bool is_this_machine(std::string_view host) {
  const bool digits = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || host == "[::1]" || (digits && host.starts_with("127."));
}

}  // namespace

void check_base_url(ConfigReader& reader, const char* key, const std::string& url,
                    bool plain_http) {
  const bool https = url.starts_with("https://");
  const bool http = url.starts_with("http://");
  if (!https && !http) {
    reader.reject(key, "expected https://..., got \"" + url + "\"");
  } else if (host_of(url).empty()) {
    reader.reject(key, "names no host");
  } else if (http && !plain_http && !is_this_machine(host_of(url))) {
    reader.reject(key,
                  "plain http would show the token to everybody on the way; if that is meant, set "
                  "\"plain_http\"");
  }
}

}  // namespace satchel::core
