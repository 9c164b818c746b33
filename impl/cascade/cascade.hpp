// The cascade: how much of an account's quota is used. Puts the parts together; the order of steps
// is in resolve.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cascade/config.hpp"
#include "cascade/credentials.hpp"
#include "cascade/observation.hpp"
#include "cascade/transcripts.hpp"
#include "cascade/usage.hpp"
#include "cascade/usage_files.hpp"
#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "core/transport.hpp"

namespace satchel::cascade {

// Where it looks, and what the host replaces: a null part is built in.
struct CascadeParts {
  std::string cache_dir;                 // empty: none
  std::vector<std::string> config_dirs;  // of credentials and transcripts
  std::string user_agent = "satchel";    // whose version the caller knows
  std::unique_ptr<UsageFiles> files;
  std::unique_ptr<Credentials> credentials;
  std::unique_ptr<Transcripts> transcripts;
  std::unique_ptr<core::Transport> transport;
};

// projects/ of the parts' config_dirs, as the configuration says.
std::unique_ptr<Transcripts> make_built_in_transcripts(const Config& config,
                                                       const CascadeParts& parts,
                                                       core::Clock& clock, core::Log& log);

class Cascade {
 public:
  // `clock` and `log` outlive it. Touches no file and asks nobody.
  Cascade(const Config& config, CascadeParts parts, core::Clock& clock, core::Log& log);
  Cascade(const Cascade&) = delete;
  Cascade& operator=(const Cascade&) = delete;
  ~Cascade();

  // Any thread. Waits up to the configured time.
  Usage resolve();
  // Called on a thread of the library; nullopt where the cascade was shut down before.
  using Done = std::function<void(std::optional<Usage>)>;
  // False: too many wait already, `done` is not called.
  bool resolve_start(Done done);
  // False: the headers say nothing of the quota.
  bool observe(std::span<const HeaderView> headers);
  core::Result<std::string> report(const ReportRange& range);
  [[nodiscard]] std::string metrics() const;

  // Breaks off what waits for others, now and from now on; any thread, as a first step to the end.
  void break_off();
  // The end; nobody may be inside any other call.
  void shut_down();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace satchel::cascade
