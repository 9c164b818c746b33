#include "forms.hpp"

#include <exception>
#include <initializer_list>
#include <utility>

namespace vectors {

bool is_list_of(Json root, bool (*matches)(Json first)) {
  if (!root.is_array()) return false;
  for (const Json first : array(root)) {
    return first.is_object() && matches(first);
  }
  return false;
}

void compare(Tally& tally, const std::string& name, const std::function<void(Verdict&)>& body) {
  Verdict verdict;
  try {
    body(verdict);
  } catch (const satchel::Error& error) {
    verdict.fail("unexpected error", std::string(error.status_name()) + ": " + error.what());
  } catch (const std::exception& error) {
    verdict.fail("the case cannot be run", error.what());
  }
  tally.add(name, verdict);
}

std::string canonical(std::string_view json) { return satchel::json_canonical(json).str(); }

std::string policy_config(Json test_case) {
  const auto object = [&](std::initializer_list<std::pair<const char*, const char*>> members) {
    std::string out;
    for (const auto& [key, name] : members) {
      const std::optional<Json> value = member(test_case, name);
      if (!value) continue;
      if (!out.empty()) out += ',';
      out += std::string("\"") + key + "\":" + simdjson::minify(*value);
    }
    return out;
  };
  std::string config = object({{"enabled_ttls", "enabled_ttls"}, {"default_ttl", "default_ttl"}});
  if (!config.empty()) config += ',';
  return "{" + config + "\"telemetry\":{" +
         object({{"prefixes", "telemetry_prefixes"}, {"strip", "telemetry_strip"}}) + "}}";
}

std::string_view tier_name(std::int32_t tier) {
  switch (tier) {
    case SATCHEL_TIER_5M:
      return "5m";
    case SATCHEL_TIER_1H:
      return "1h";
    case SATCHEL_TIER_24H:
      return "24h";
    default:
      return "unknown";
  }
}

std::string hex(const std::uint8_t (&hash)[32]) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : hash) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace vectors
