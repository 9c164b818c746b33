// One fetch a machine: whoever asks the endpoint holds a lock beside the files, which the kernel
// releases when the process dies. The others wait, and find the answer in the files.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/file.hpp"
#include "core/log.hpp"

namespace satchel::cascade {

class FetchTurns {
 public:
  // `directory` empty: turns are taken within this process alone.
  FetchTurns(std::string directory, core::Log& log);
  FetchTurns(const FetchTurns&) = delete;
  FetchTurns& operator=(const FetchTurns&) = delete;

  // The turn, until it goes.
  class Turn {
   public:
    explicit Turn(FetchTurns& turns) : turns_(turns) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

   private:
    friend class FetchTurns;
    FetchTurns& turns_;
    bool held_ = false;
    core::UniqueFd file_;
    bool locked_ = false;
    std::optional<core::ClosedInChild> closed_in_child_;
  };

  // Waits until the system's monotonic clock shows `deadline_ns`, or stop(). nullptr: somebody
  // else's turn still. A lock file that cannot be had is logged, and the turn is taken without.
  std::unique_ptr<Turn> wait(std::int64_t deadline_ns);
  // Nobody waits any more.
  void stop();

 private:
  bool take_here(std::int64_t deadline_ns);
  bool take_machine(Turn& turn, std::int64_t deadline_ns);

  const std::string directory_;
  core::Log& log_;
  core::LogOnce unlocked_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool taken_ = false;
  bool stopped_ = false;
};

}  // namespace satchel::cascade
