// Many who want to know the same at the same time: one asks, the others wait for what it learns.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include "core/clock.hpp"

namespace satchel::core {

// Any thread.
template <class Answer>
class SingleFlight {
 public:
  // The answer to `key`: that of whoever is asking already, else of ask().
  //   left_ns()  how long the caller waits for somebody else, 0 once it does not any more
  //   ask()      std::optional<Answer>; nothing: it gave up, and the next of those who wait asks
  // Nothing: nobody answered in time. A question inside its own question gets nothing at once.
  template <class Left, class Ask>
  std::optional<Answer> get(const std::string& key, const Left& left_ns, const Ask& ask) {
    for (;;) {
      bool mine = false;
      const std::shared_ptr<Flight> flight = board(key, mine);
      if (mine) return lead(key, *flight, ask);
      if (flight->leader == std::this_thread::get_id()) return std::nullopt;
      if (!wait(*flight, left_ns)) return std::nullopt;
      // Written before the flight ended, and never again.
      if (flight->answer) return flight->answer;
    }
  }

 private:
  struct Flight {
    const std::thread::id leader = std::this_thread::get_id();
    std::condition_variable ended;
    bool over = false;  // guarded by mutex_, as is the answer until then
    std::optional<Answer> answer;
  };

  // How often those who wait look whether they still want to: nobody wakes them for that.
  static constexpr std::int64_t kSliceNs = 20 * kNanosPerMilli;

  std::shared_ptr<Flight> board(const std::string& key, bool& mine) {
    const std::lock_guard lock(mutex_);
    const auto found = flights_.find(key);
    if (found != flights_.end()) return found->second;
    mine = true;
    return flights_.emplace(key, std::make_shared<Flight>()).first->second;
  }

  // Ends the flight whatever happens, so that nobody waits for one that is gone.
  template <class Ask>
  std::optional<Answer> lead(const std::string& key, Flight& flight, const Ask& ask) {
    struct Landing {
      ~Landing() { self.land(key, flight, std::move(learned)); }
      SingleFlight& self;
      const std::string& key;
      Flight& flight;
      std::optional<Answer> learned{};
    } landing{*this, key, flight};
    std::optional<Answer> answer = ask();
    landing.learned = answer;
    return answer;
  }

  void land(const std::string& key, Flight& flight, std::optional<Answer> learned) {
    const std::lock_guard lock(mutex_);
    flight.answer = std::move(learned);
    flight.over = true;
    flight.ended.notify_all();
    flights_.erase(key);
  }

  // False: not over, and the caller does not wait any more.
  template <class Left>
  bool wait(Flight& flight, const Left& left_ns) {
    for (;;) {
      const std::int64_t left = left_ns();  // not under the lock: it may ask the host
      std::unique_lock lock(mutex_);
      if (flight.over) return true;
      if (left <= 0) return false;
      flight.ended.wait_for(lock, std::chrono::nanoseconds(std::min(left, kSliceNs)));
      if (flight.over) return true;
    }
  }

  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace satchel::core
