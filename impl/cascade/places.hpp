// Where a cascade looks when the host does not say: the places of Claude Code and of linesmith,
// taken from the environment once.
#pragma once

#include <string>
#include <vector>

namespace satchel::cascade {

// The variables, empty where they are not set.
struct Environment {
  std::string claude_config_dir;
  std::string xdg_config_home;
  std::string xdg_cache_home;
  std::string home;
};
Environment environment_of_process();

// $XDG_CACHE_HOME/linesmith, else $HOME/.cache/linesmith, else empty: no cache.
std::string default_cache_dir(const Environment& environment);
// $CLAUDE_CONFIG_DIR; $XDG_CONFIG_HOME/claude or $HOME/.config/claude; $HOME/.claude.
std::vector<std::string> default_config_dirs(const Environment& environment);

}  // namespace satchel::cascade
