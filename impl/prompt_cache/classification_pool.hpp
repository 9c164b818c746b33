// The threads that classify, beside the upstream's work and never on the way of a response: a
// bounded number of them, a bounded queue, and one thread that ends what is late, because the
// others may all be inside callbacks of the host by then.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "prompt_cache/classification.hpp"

namespace satchel::prompt_cache {

class ClassificationPool {
 public:
  // No thread is started before there is something to do.
  ClassificationPool(std::size_t most_threads, std::size_t most_waiting)
      : most_threads_(most_threads), most_waiting_(most_waiting) {}
  ClassificationPool(const ClassificationPool&) = delete;
  ClassificationPool& operator=(const ClassificationPool&) = delete;
  ~ClassificationPool() { stop(); }

  // Does not wait. `classifier` must live until stop(). Where there is no room, or no thread can be
  // started, it ends at once, as kQueueFull. All of one pool have the same time to their deadlines.
  void add(const std::shared_ptr<Classification>& classification, Classifier& classifier);
  // Ends what waits as kClosed, on the threads, and joins them: a callback of the host that one of
  // them is inside is waited for.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;

  bool enqueue(const std::shared_ptr<Classification>& classification, Classifier& classifier);
  void start_threads(Classifier& classifier);
  void classify(Classifier& classifier);
  void watch();
  std::shared_ptr<Classification> take_late();
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;

  const std::size_t most_threads_;
  const std::size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable watch_;
  // In the order of their deadlines.
  std::list<std::shared_ptr<Classification>> waiting_;
  std::list<std::shared_ptr<Classification>> running_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
  std::thread watcher_;
};

}  // namespace satchel::prompt_cache
