#include "core/single_flight.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace satchel::core {
namespace {

constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();

const auto kWaits = [] { return kEver; };
const auto kDoesNotWait = [] { return std::int64_t{0}; };

// Threads that are joined whatever happens.
class Threads {
 public:
  Threads() = default;
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() {
    for (std::thread& thread : threads_) thread.join();
  }
  template <class Body>
  void run(Body body) {
    threads_.emplace_back(std::move(body));
  }

 private:
  std::vector<std::thread> threads_;
};

TEST(SingleFlight, OneAsksAndAllHaveItsAnswer) {
  constexpr int kThreads = 16;
  SingleFlight<int> flights;
  std::atomic<int> asked{0};
  std::atomic<int> came{0};
  std::vector<std::optional<int>> answers(kThreads);
  {
    Threads threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.run([&, i] {
        bool waits = false;  // asked again and again
        answers[static_cast<std::size_t>(i)] = flights.get(
            "key",
            [&] {
              if (!std::exchange(waits, true)) ++came;
              return kEver;
            },
            [&]() -> std::optional<int> {
              ++asked;
              // All others are waiting for us.
              while (came < kThreads - 1) std::this_thread::yield();
              return 7;
            });
      });
    }
  }
  EXPECT_EQ(asked, 1);
  for (const std::optional<int>& answer : answers) EXPECT_EQ(answer, 7);
}

TEST(SingleFlight, WhoComesLaterAsksAnew) {
  SingleFlight<int> flights;
  EXPECT_EQ(flights.get("key", kWaits, [] { return std::optional<int>(1); }), 1);
  EXPECT_EQ(flights.get("key", kWaits, [] { return std::optional<int>(2); }), 2);
}

TEST(SingleFlight, TwoKeysDoNotWaitForEachOther) {
  SingleFlight<int> flights;
  const auto outer = flights.get(
      "a", kWaits, [&] { return flights.get("b", kWaits, [] { return std::optional<int>(2); }); });
  EXPECT_EQ(outer, 2);
}

TEST(SingleFlight, AQuestionInsideItselfGetsNothing) {
  SingleFlight<int> flights;
  bool asked_twice = false;
  const auto outer = flights.get("key", kWaits, [&] {
    const auto inner = flights.get("key", kWaits, [&] {
      asked_twice = true;
      return std::optional<int>(1);
    });
    EXPECT_FALSE(inner);
    return std::optional<int>(2);
  });
  EXPECT_EQ(outer, 2);
  EXPECT_FALSE(asked_twice);
}

TEST(SingleFlight, WhoHasNoTimeLeftGoesWithoutAnAnswer) {
  SingleFlight<int> flights;
  std::promise<void> asking;
  std::promise<void> go_on;
  std::optional<int> leaders;
  {
    Threads threads;
    threads.run([&] {
      leaders = flights.get("key", kWaits, [&] {
        asking.set_value();
        go_on.get_future().wait();
        return std::optional<int>(1);
      });
    });
    asking.get_future().wait();
    EXPECT_FALSE(flights.get("key", kDoesNotWait, [] { return std::optional<int>(2); }));
    // Nor does one who loses patience while waiting.
    std::atomic<int> looks{0};
    EXPECT_FALSE(flights.get(
        "key", [&] { return ++looks < 3 ? kEver : 0; }, [] { return std::optional<int>(3); }));
    go_on.set_value();
  }
  EXPECT_EQ(leaders, 1);
}

TEST(SingleFlight, WhereTheOneWhoAsksGivesUpTheNextOneAsks) {
  SingleFlight<int> flights;
  std::promise<void> asking;
  std::atomic<bool> waited_for{false};
  std::optional<int> first{99};
  std::optional<int> second;
  {
    Threads threads;
    threads.run([&] {
      first = flights.get("key", kWaits, [&]() -> std::optional<int> {
        asking.set_value();
        while (!waited_for) std::this_thread::yield();
        return std::nullopt;
      });
    });
    asking.get_future().wait();
    threads.run([&] {
      second = flights.get(
          "key",
          [&] {
            waited_for = true;
            return kEver;
          },
          [] { return std::optional<int>(2); });
    });
  }
  EXPECT_FALSE(first);
  EXPECT_EQ(second, 2);
}

TEST(SingleFlight, AnExceptionEndsTheFlight) {
  SingleFlight<int> flights;
  EXPECT_THROW(
      flights.get("key", kWaits, []() -> std::optional<int> { throw std::runtime_error("no"); }),
      std::runtime_error);
  EXPECT_EQ(flights.get("key", kDoesNotWait, [] { return std::optional<int>(2); }), 2);
}

TEST(SingleFlight, ManyThreadsAndKeys) {
  constexpr int kKeys = 4;
  SingleFlight<std::string> flights;
  std::atomic<int> wrong{0};
  {
    Threads threads;
    for (int t = 0; t < 8; ++t) {
      threads.run([&, t] {
        for (int i = 0; i < 500; ++i) {
          const std::string key = std::to_string((t + i) % kKeys);
          const auto answer = flights.get(key, kWaits, [&]() -> std::optional<std::string> {
            if (i % 7 == 0) return std::nullopt;
            return "of " + key;
          });
          if (answer && *answer != "of " + key) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace satchel::core
