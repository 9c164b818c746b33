#include "cascade/places.hpp"

#include <cstdlib>

namespace satchel::cascade {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

Environment environment_of_process() {
  return {variable("CLAUDE_CONFIG_DIR"), variable("XDG_CONFIG_HOME"), variable("XDG_CACHE_HOME"),
          variable("HOME")};
}

std::string default_cache_dir(const Environment& environment) {
  if (!environment.xdg_cache_home.empty()) return environment.xdg_cache_home + "/linesmith";
  if (!environment.home.empty()) return environment.home + "/.cache/linesmith";
  return {};
}

std::vector<std::string> default_config_dirs(const Environment& environment) {
  std::vector<std::string> dirs;
  if (!environment.claude_config_dir.empty()) dirs.push_back(environment.claude_config_dir);
  if (!environment.xdg_config_home.empty()) {
    dirs.push_back(environment.xdg_config_home + "/claude");
  } else if (!environment.home.empty()) {
    dirs.push_back(environment.home + "/.config/claude");
  }
  if (!environment.home.empty()) dirs.push_back(environment.home + "/.claude");
  return dirs;
}

}  // namespace satchel::cascade
