#include "tool_cache/leases.hpp"

#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/file.hpp"
#include "file_store_fixture.hpp"
#include "surroundings.hpp"
#include "tool_cache/lease_records.hpp"

namespace satchel::tool_cache {
namespace {

namespace fs = std::filesystem;
using core::kNanosPerMilli;
using core::kSecond;

constexpr std::int64_t kLong = 3600 * kSecond;

class LeasesTest : public ::testing::Test {
 protected:
  std::unique_ptr<Leases> open(core::Clock& clock = core::system_clock()) {
    return std::make_unique<Leases>(root(), clock, log_);
  }
  [[nodiscard]] std::string root() const { return directory_ / "store"; }
  [[nodiscard]] fs::path record_of(const Key& key) const {
    return fs::path(root()) / ".satchel/leases" / key.hex();
  }
  static std::optional<Leases::Held> take(Leases& leases, std::int64_t lease_ns = kLong) {
    core::Result<std::optional<Leases::Held>> held = leases.acquire(key_of("k"), lease_ns);
    EXPECT_TRUE(held.ok());
    return held.ok() ? std::move(*held) : std::nullopt;
  }

  core::TemporaryDirectory directory_;
  core::CapturedLog log_;
  const Key key_ = key_of("k");
};

TEST_F(LeasesTest, OnlyOneHasIt) {
  const auto leases = open();
  std::optional<Leases::Held> mine = take(*leases);
  ASSERT_TRUE(mine);
  EXPECT_TRUE(mine->still_mine());
  EXPECT_FALSE(take(*leases));
  EXPECT_TRUE(leases->acquire(key_of("another"), kLong)->has_value());
  mine->release();
  EXPECT_FALSE(mine->still_mine());
  EXPECT_TRUE(take(*leases)) << "gone at once, with its owner";
  EXPECT_TRUE(take(*leases));
}

TEST_F(LeasesTest, OnlyOneHasItAmongSeveralCachesOfOneStore) {
  const auto first = open();
  const auto second = open();
  std::optional<Leases::Held> mine = take(*first);
  ASSERT_TRUE(mine);
  EXPECT_TRUE(fs::exists(record_of(key_)));
  EXPECT_FALSE(take(*second));
  mine.reset();
  EXPECT_FALSE(fs::exists(record_of(key_)));
  EXPECT_TRUE(take(*second));
  EXPECT_EQ(log_.all(), "");
}

TEST_F(LeasesTest, WithoutADirectoryItHoldsAmongThreads) {
  Leases leases("", core::system_clock(), log_);
  const std::optional<Leases::Held> mine = take(leases);
  ASSERT_TRUE(mine);
  EXPECT_TRUE(mine->still_mine());
  EXPECT_FALSE(take(leases));
  EXPECT_EQ(log_.all(), "");
}

TEST_F(LeasesTest, WhereRecordsCannotBeWrittenItHoldsAmongThreadsAndSaysSoOnce) {
  write_file(root(), "no directory");
  const auto leases = open();
  for (int i = 0; i < 3; ++i) {
    const std::optional<Leases::Held> mine = take(*leases);
    ASSERT_TRUE(mine);
    EXPECT_TRUE(mine->still_mine());
    EXPECT_FALSE(take(*leases));
  }
  EXPECT_EQ(log_.count("leases hold within this process only"), 1U) << log_.all();
}

TEST_F(LeasesTest, PastItsDeadlineAnotherMayTakeItOver) {
  core::ManualClock clock;
  const auto leases = open(clock);
  std::optional<Leases::Held> mine = take(*leases, kSecond);
  ASSERT_TRUE(mine);
  EXPECT_EQ(mine->deadline_ns(), clock.monotonic_ns() + kSecond);
  clock.advance(2 * kSecond);
  EXPECT_TRUE(mine->still_mine()) << "nobody wanted it yet";
  std::optional<Leases::Held> next = take(*leases, kSecond);
  ASSERT_TRUE(next);
  EXPECT_FALSE(mine->still_mine());
  mine->release();
  EXPECT_TRUE(next->still_mine()) << "what the first lets go of is not the second's";
  EXPECT_FALSE(take(*leases));
}

TEST_F(LeasesTest, PastItsDeadlineAnotherCacheMayTakeItOver) {
  const auto first = open();
  const auto second = open();
  std::optional<Leases::Held> mine = take(*first, kNanosPerMilli);
  ASSERT_TRUE(mine);
  std::optional<Leases::Held> next;
  EXPECT_TRUE(core::eventually([&] { return (next = take(*second)).has_value(); }));
  EXPECT_FALSE(mine->still_mine());
  EXPECT_TRUE(next->still_mine());
  mine->release();
  EXPECT_TRUE(next->still_mine());
  EXPECT_FALSE(take(*first));
}

TEST_F(LeasesTest, RecordsThatMakeNoSenseAreNobodys) {
  const auto leases = open();
  const std::string other_boot =
      "0123456789abcdef0123456789abcdef 7fffffffffffffff 0000000000000001\n";
  for (const std::string& text :
       {std::string(), std::string("garbage"), other_boot, std::string(10'000, 'x')}) {
    write_file(record_of(key_), text);
    EXPECT_TRUE(take(*leases)) << text;
  }
  fs::create_directory(record_of(key_));
  EXPECT_TRUE(take(*leases)) << "among the threads of this process";
}

TEST_F(LeasesTest, ADeadlineOfAnotherBootIsPastThoughItsTokenIsLocked) {
  const auto leases = open();
  const auto other = open();
  ASSERT_TRUE(take(*other));  // the directory is there
  const auto held = core::open_private_file(root() + "/.satchel/leases/held");
  ASSERT_TRUE(held.ok());
  ASSERT_EQ(core::lock_range(held->get(), core::LockKind::kExclusive, 1, 1), 0);
  write_file(record_of(key_),
             "0123456789abcdef0123456789abcdef 7fffffffffffffff 0000000000000001\n");
  EXPECT_TRUE(take(*leases));
}

TEST_F(LeasesTest, WhoWaitsGoesOnWhenItIsReleased) {
  for (const bool same_cache : {true, false}) {
    const auto leases = open();
    const auto others = open();
    std::optional<Leases::Held> mine = take(*leases);
    ASSERT_TRUE(mine);
    Leases& waiting = same_cache ? *leases : *others;
    EXPECT_FALSE(waiting.wait(key_, kNanosPerMilli)) << "not before";
    std::atomic<bool> went_on{false};
    std::thread waiter([&] { went_on = waiting.wait(key_, 60 * kSecond); });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(went_on);
    mine.reset();
    waiter.join();
    EXPECT_TRUE(went_on);
    EXPECT_TRUE(waiting.wait(key_, kSecond)) << "nobody has it";
  }
}

TEST_F(LeasesTest, WhoWaitsGoesOnWhenTheDeadlinePasses) {
  for (const bool same_cache : {true, false}) {
    const auto leases = open();
    const auto others = open();
    const std::optional<Leases::Held> mine = take(*leases, 20 * kNanosPerMilli);
    ASSERT_TRUE(mine);
    Leases& waiting = same_cache ? *leases : *others;
    EXPECT_TRUE(waiting.wait(key_, 60 * kSecond));
    EXPECT_TRUE(take(waiting));
  }
}

TEST_F(LeasesTest, StopLetsGoOfWhoWaits) {
  const auto leases = open();
  const auto others = open();
  const std::optional<Leases::Held> mine = take(*leases);
  std::vector<std::thread> waiters;
  for (Leases* waiting : {leases.get(), others.get()}) {
    waiters.emplace_back([this, waiting] { EXPECT_FALSE(waiting->wait(key_, 60 * kSecond)); });
  }
  leases->stop();
  others->stop();
  for (std::thread& waiter : waiters) waiter.join();
}

TEST_F(LeasesTest, ALeaseMayOutliveItsCache) {
  auto leases = open();
  std::optional<Leases::Held> mine = take(*leases);
  leases.reset();
  EXPECT_TRUE(mine->still_mine());
  mine.reset();
  EXPECT_FALSE(fs::exists(record_of(key_)));
}

TEST_F(LeasesTest, OfManyThreadsEachComputesAlone) {
  const auto first = open();
  const auto second = open();
  std::atomic<int> computing{0};
  std::atomic<int> computed{0};
  std::atomic<int> together{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      Leases& leases = i % 2 == 0 ? *first : *second;
      for (int done = 0; done < 20;) {
        if (std::optional<Leases::Held> mine = take(leases)) {
          if (++computing != 1) ++together;
          std::this_thread::yield();
          if (!mine->still_mine()) ++together;
          --computing;
          ++computed;
          ++done;
        } else {
          leases.wait(key_, 60 * kSecond);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, 0);
  EXPECT_EQ(computed, 120);
  EXPECT_FALSE(fs::exists(record_of(key_)));
}

// --------------------------------------------------------------------------------------- processes

// A process that takes the lease and sleeps until it is killed, and perhaps a child of its.
struct Leader {
  pid_t process = 0;
  pid_t child = 0;
};
Leader leader(const std::string& root, std::int64_t lease_ns, bool with_child = false) {
  int ready[2];
  EXPECT_EQ(pipe(ready), 0);
  const pid_t process = fork();
  if (process == 0) {
    core::StderrLog log(core::LogLevel::kOff);
    Leases leases(root, core::system_clock(), log);
    core::Result<std::optional<Leases::Held>> held = leases.acquire(key_of("k"), lease_ns);
    if (!held.ok() || !*held) _exit(1);
    const pid_t child = with_child ? fork() : 0;
    if (with_child && child == 0) held->reset();
    const pid_t who = with_child && child == 0 ? getpid() : 0;
    if (with_child == (who != 0)) (void)!write(ready[1], &who, sizeof who);
    for (;;) pause();
  }
  Leader started{process, 0};
  EXPECT_EQ(read(ready[0], &started.child, sizeof started.child), ssize_t{sizeof started.child});
  close(ready[0]);
  close(ready[1]);
  return started;
}

void end(pid_t process) {
  ASSERT_EQ(kill(process, SIGKILL), 0);
  ASSERT_EQ(waitpid(process, nullptr, 0), process);
}

TEST_F(LeasesTest, ADeadLeadersLeasePassesOn) {
  const auto leases = open();
  const pid_t process = leader(root(), kLong).process;
  EXPECT_FALSE(take(*leases));
  EXPECT_FALSE(leases->wait(key_, 5 * kNanosPerMilli));
  std::atomic<bool> went_on{false};
  std::thread waiter([&] { went_on = leases->wait(key_, 60 * kSecond); });
  end(process);
  waiter.join();
  EXPECT_TRUE(went_on);
  const std::optional<Leases::Held> mine = take(*leases);
  ASSERT_TRUE(mine);
  EXPECT_TRUE(mine->still_mine());
}

TEST_F(LeasesTest, ALeaderThatHangsLosesItsLeaseAtTheDeadline) {
  const auto leases = open();
  const pid_t process = leader(root(), 30 * kNanosPerMilli).process;
  ASSERT_EQ(kill(process, SIGSTOP), 0);
  EXPECT_TRUE(leases->wait(key_, 60 * kSecond));
  EXPECT_TRUE(take(*leases));
  end(process);
}

TEST_F(LeasesTest, ADeadLeadersLeasePassesOnThoughItsForkedChildLives) {
  const auto leases = open();
  const Leader started = leader(root(), kLong, true);
  EXPECT_FALSE(take(*leases)) << "what the child let go of is its parent's still";
  end(started.process);
  EXPECT_TRUE(take(*leases));
  EXPECT_EQ(kill(started.child, SIGKILL), 0) << "it was alive";
}

TEST_F(LeasesTest, AForkedChildHasNoLeases) {
  const auto leases = open();
  std::optional<Leases::Held> mine = take(*leases);
  const pid_t child = fork();
  if (child == 0) {
    const core::Result<std::optional<Leases::Held>> held = leases->acquire(key_of("k2"), kLong);
    const bool refused = !held.ok() && held.error().status == core::Status::kForked;
    const bool right = refused && !mine->still_mine() && !leases->wait(key_, kSecond);
    mine.reset();
    leases->stop();
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(mine->still_mine());
  const auto other = open();
  EXPECT_FALSE(take(*other));
}

// In memory that all processes share.
struct Shared {
  std::atomic<int> computing{0};  // a process, or 0
  std::atomic<int> dying{0};
  std::atomic<int> together{0};
  std::atomic<int> computed{0};
};

TEST_F(LeasesTest, OfProcessesKilledAtRandomMomentsOneComputesAtATime) {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  Shared& shared = *new (memory) Shared;
  std::mt19937 random(3);
  std::array<pid_t, 3> children{};
  for (int round = 0; round < 60; ++round) {
    for (pid_t& child : children) {
      if (child != 0) continue;
      child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        core::StderrLog log(core::LogLevel::kOff);
        Leases leases(root(), core::system_clock(), log);
        for (;;) {
          core::Result<std::optional<Leases::Held>> held = leases.acquire(key_of("k"), kLong);
          if (held.ok() && *held) {
            // By its number: who is killed here leaves it behind.
            const int me = getpid();
            const int before = shared.computing.exchange(me);
            if (before != 0 && before != shared.dying && kill(before, 0) == 0) ++shared.together;
            std::this_thread::yield();
            if (shared.computing.exchange(0) != me || !(*held)->still_mine()) ++shared.together;
            ++shared.computed;
          } else {
            leases.wait(key_of("k"), kSecond);
          }
        }
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
    pid_t& victim = children.at(random() % children.size());
    shared.dying = victim;
    end(victim);
    victim = 0;
  }
  for (const pid_t child : children) {
    if (child != 0) end(child);
  }
  EXPECT_EQ(shared.together, 0);
  EXPECT_GT(shared.computed, 0);
  const auto leases = open();
  EXPECT_TRUE(take(*leases)) << "no lease stays";
  EXPECT_TRUE(LeaseRecords::sweep(root()).ok());
  EXPECT_FALSE(fs::exists(record_of(key_)));
  munmap(memory, sizeof(Shared));
}

}  // namespace
}  // namespace satchel::tool_cache
