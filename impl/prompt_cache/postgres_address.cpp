#include "prompt_cache/postgres_address.hpp"

#include <algorithm>
#include <map>
#include <string_view>

namespace satchel::prompt_cache {
namespace {

core::Error unusable(const char* why) { return {core::Status::kConfig, why}; }

// libpq takes the first @, : and / of a URL for what they usually are. One that belongs to the
// password makes the rest of it a host's name, which errors quote.
bool has_stray_at(std::string_view conninfo) {
  const std::size_t scheme = conninfo.find("://");
  if (conninfo.compare(0, 8, "postgres") != 0 || scheme == std::string_view::npos) return false;
  const std::string_view rest = conninfo.substr(scheme + 3);
  // Whatever precedes the first @ is user and password, unless there is a / in it.
  const std::size_t first = rest.find_first_of("@/");
  const bool has_user = first != std::string_view::npos && rest[first] == '@';
  const std::string_view hosts_on = has_user ? rest.substr(first + 1) : rest;
  return hosts_on.substr(0, hosts_on.find('?')).find('@') != std::string_view::npos;
}

// The n-th of a list with commas; the last one stands for all behind it.
std::string_view item(std::string_view list, std::size_t n) {
  for (; n > 0 && list.find(',') != std::string_view::npos; --n) {
    list.remove_prefix(list.find(',') + 1);
  }
  return list.substr(0, list.find(','));
}

std::string show(std::string_view hosts, std::string_view ports, std::size_t count) {
  std::string shown;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view host = item(hosts, i);
    const std::string_view port = item(ports, i);
    if (i > 0) shown += ',';
    shown += host.empty() ? "its default host" : host;
    shown += ':';
    shown += port.empty() ? "5432" : port;
  }
  return shown;
}

// A list of one stands for all hosts and is the same from everywhere.
std::string rotated(std::string_view list, std::size_t by) {
  std::string text(list);
  for (; by > 0; --by) {
    const std::size_t comma = text.find(',');
    if (comma == std::string::npos) break;
    text = text.substr(comma + 1) + ',' + text.substr(0, comma);
  }
  return text;
}

}  // namespace

PostgresOrder PostgresAddress::beginning_with(std::size_t first) const {
  const std::size_t by = first % hosts;
  return {rotated(as_written.hosts, by), rotated(as_written.addresses, by),
          rotated(as_written.ports, by)};
}

core::Result<PostgresAddress> read_postgres_address(const core::LibPq& pq,
                                                    const std::string& conninfo) {
  if (has_stray_at(conninfo)) {
    return unusable("write the characters @ : / ? # % of a user or a password as %40 and so on");
  }
  // Its error would quote the string.
  PQconninfoOption* options = pq.conninfo_parse(conninfo.c_str(), nullptr);
  if (options == nullptr) return unusable("libpq cannot read this connection string");
  std::map<std::string_view, std::string_view> given;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) given[option->keyword] = option->val;
  }
  const std::string_view hosts = given.count("host") > 0 ? given["host"] : given["hostaddr"];
  PostgresAddress address;
  address.hosts = static_cast<std::size_t>(std::count(hosts.begin(), hosts.end(), ',')) + 1;
  address.shown = show(hosts, given["port"], address.hosts);
  address.as_written = {std::string(given["host"]), std::string(given["hostaddr"]),
                        std::string(given["port"])};
  pq.conninfo_free(options);
  return address;
}

}  // namespace satchel::prompt_cache
