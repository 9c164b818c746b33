// Single flight: of all who want a result that is not there, one computes it and the others wait.
// Across threads by a table in memory, across processes by records beside the store
// (lease_records.hpp). A lease is a courtesy and no lock: what is right does not hang on it. Where
// records cannot be kept - the store is the host's, the directory cannot be written - it holds
// among the threads of this cache, and two processes may compute the same thing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {

// Any thread.
class Leases {
  struct State;
  struct Local;

 public:
  // `root`: the store's directory; empty: among the threads of this process only.
  Leases(const std::string& root, core::Clock& clock, core::Log& log);
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;
  ~Leases();

  // One's turn to compute, until it is released or gone. May outlive the Leases. One thread.
  class Held {
   public:
    Held(Held&&) noexcept = default;
    Held& operator=(Held&& other) noexcept;
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { release(); }

    // False once another has taken it over, which needs a deadline that has passed; false too where
    // that cannot be known.
    [[nodiscard]] bool still_mine() const;
    // By the clock's monotonic_ns().
    [[nodiscard]] std::int64_t deadline_ns() const;
    void release();

   private:
    friend class Leases;
    Held(std::shared_ptr<State> state, const Key& key, std::shared_ptr<Local> local);
    std::shared_ptr<State> state_;
    Key key_;
    std::shared_ptr<Local> local_;
  };
  // Nothing while another has it, alive and before his deadline. kForked in a forked child.
  core::Result<std::optional<Held>> acquire(const Key& key, std::int64_t lease_ns);

  // Returns when it may be worth trying again: released, its holder dead, its deadline past; true.
  // False after `timeout_ns`, or stop().
  bool wait(const Key& key, std::int64_t timeout_ns);
  // Whoever waits returns, and nobody waits any more.
  void stop();

 private:
  std::shared_ptr<State> state_;
};

}  // namespace satchel::tool_cache
