// Resolves on a thread of the library, for hosts that may not wait themselves. Started with the
// first who asks; those who wait at the same time share one resolve.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "cascade/usage.hpp"

namespace satchel::cascade {

class Waiting {
 public:
  using Done = std::function<void(std::optional<Usage>)>;

  // `resolve` runs on the thread.
  explicit Waiting(std::function<Usage()> resolve) : resolve_(std::move(resolve)) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { stop(); }

  // Any thread. False: too many wait already, or it was stopped.
  bool add(Done done);
  // Resolves soon, for nobody. False: the system has no thread for it.
  bool refresh();
  // Lets the resolve under way end; whoever still waits gets nullopt, on this thread.
  void stop();

 private:
  void start();
  void run();
  [[nodiscard]] std::optional<Usage> resolved() const;

  const std::function<Usage()> resolve_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Done> waiting_;
  bool refresh_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace satchel::cascade
