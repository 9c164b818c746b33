// The shared remote behind a local store. Callers wait for it only when they look something up that
// is not here, and never longer than its timeout; what they store and invalidate is passed on by a
// thread of its own.
//
// Nothing comes back that was invalidated here. While an invalidation is on its way to the remote,
// nothing is read from there; and what was read before it began is not let into the local store
// after it (admit). Where too many wait for a remote that is away, further ones are lost, and
// nothing is read from it any more. All that ends with this process: an invalidation that could not
// be delivered by then is lost, and so is one that another process of this machine is delivering.
// What is served even so is what its roots say.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.hpp"
#include "core/complaint.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/counters.hpp"
#include "tool_cache/remote_config.hpp"
#include "tool_cache/remote_health.hpp"
#include "tool_cache/remote_store.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

// Any thread.
class Remote {
 public:
  struct Local {
    // An entry on its way to the remote, as the local store has it when its turn comes.
    std::function<core::Result<Stored>(const Key& key)> load;
    // What the remote found to depend on something that was invalidated here. The local store has
    // it, too, if it came from there; but maybe not all that lies in between.
    std::function<void(std::span<const Key> keys)> drop;
  };

  Remote(std::unique_ptr<RemoteStore> store, std::int64_t max_payload_bytes, Local local,
         Counters& counters, core::Clock& clock, core::Log& log);
  Remote(const Remote&) = delete;
  Remote& operator=(const Remote&) = delete;
  ~Remote() { shut_down(); }
  // kIo: no thread.
  core::Result<void> start();

  struct Fetched {
    RemoteEntry entry;
    std::uint64_t generation = 0;
  };
  // Its roots are not looked at yet. Nothing: it has none, or cannot be asked.
  std::optional<Fetched> fetch(const Key& key);
  // Runs `use`, unless something was invalidated since the fetch; false: it was not run.
  bool admit(const Fetched& fetched, const std::function<void()>& use);

  // Of the local store: passes it on.
  void stored(const Key& key);

  // To be held while anything is dropped locally; what is said to it is passed on at its end.
  class Invalidation {
   public:
    explicit Invalidation(Remote* remote);
    Invalidation(const Invalidation&) = delete;
    Invalidation& operator=(const Invalidation&) = delete;
    ~Invalidation();
    void removed(std::span<const Key> keys);
    void dependents_of(std::span<const Key> keys);

   private:
    Remote* const remote_;  // may be null: there is none
    std::vector<Key> removed_;
    std::vector<Key> upstreams_;
  };

  // Waits until everything was passed on or given up; false: not done by then.
  bool flush(std::chrono::steady_clock::time_point until);
  // Nobody waits in flush() any more.
  void break_off();
  // Passes on what waits, for a moment, if the remote answers; then ends the thread.
  void shut_down();

 private:
  enum class What : std::uint8_t { kSend, kRemove, kRemoveDependents };
  struct Job {
    What what;
    Key key;
  };

  // After health_.may_ask().
  core::Result<std::optional<RemoteEntry>> ask(const Key& key);
  void add(Job job);
  void lose_invalidations(std::size_t count);
  void work();
  // False: to be tried again.
  bool done(const Job& job);
  void send(const Key& key);
  bool remove(const Job& job);
  void not_shared(const std::string& why);
  // What the answer says of the remote's health; nullptr: nothing is wrong.
  void take(const core::Error* error);
  void forget_jobs();

  const std::unique_ptr<RemoteStore> store_;
  const std::uint64_t max_payload_bytes_;
  const Local local_;
  Counters& counters_;
  RemoteHealth health_;
  core::Complaint refused_;
  core::Complaint unwanted_;
  core::Complaint unread_;

  // Held shared while something fetched goes into the local store.
  std::shared_mutex admission_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::uint64_t> invalidating_{0};  // begun here, and not yet done there
  std::atomic<bool> lost_invalidations_{false};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Job> jobs_;  // the first stays until it was done
  std::size_t invalidations_ = 0;
  bool stopping_ = false;
  bool breaking_off_ = false;
  std::thread thread_;
};

}  // namespace satchel::tool_cache
