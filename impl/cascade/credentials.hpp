// Who has the token: built in from Claude Code's file, or the host.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/resolve.hpp"
#include "core/log.hpp"

namespace satchel::cascade {

class Credentials {
 public:
  Credentials() = default;
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  virtual ~Credentials() = default;

  // Any thread.
  virtual TokenAnswer token() = 0;
};

// `.credentials.json` of the first of these directories that has one which may be looked at
// (linesmith-core, credentials/mod.rs).
std::unique_ptr<Credentials> make_file_credentials(std::vector<std::string> config_dirs,
                                                   core::Log& log);

// What the text of such a file says.
TokenAnswer read_credentials(std::string_view text);

}  // namespace satchel::cascade
