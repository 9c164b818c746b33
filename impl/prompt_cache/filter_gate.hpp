// Keeps the promise of every response filter: what went wrong once never ends cleanly.
#pragma once

#include <string>
#include <utility>

#include "core/result.hpp"

namespace satchel::prompt_cache {

// A call enters, does its work and leaves. A call that throws on its way (an allocation failed) has
// lost bytes of the response: it does not leave, and every later one is refused.
class FilterGate {
 public:
  core::Result<void> enter() {
    switch (state_) {
      case State::kOpen:
        state_ = State::kBroken;
        return core::Ok{};
      case State::kEnded:
        return core::Error{core::Status::kState, "the response has ended already"};
      case State::kBroken:
        break;
    }
    return broken();
  }
  void leave() { state_ = State::kOpen; }
  void leave_for_good() { state_ = State::kEnded; }
  // Instead of leaving: the response cannot go on.
  void break_off(std::string why) {
    state_ = State::kBroken;
    why_ = std::move(why);
  }
  [[nodiscard]] core::Error broken() const {
    return {core::Status::kStream,
            why_.empty() ? "an earlier call failed and lost bytes of the response" : why_};
  }

 private:
  enum class State { kOpen, kEnded, kBroken };
  State state_ = State::kOpen;
  std::string why_;
};

}  // namespace satchel::prompt_cache
