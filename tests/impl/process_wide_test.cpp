#include "core/process_wide.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <new>
#include <thread>

namespace satchel::core {
namespace {

std::atomic<int> made{0};
std::atomic<bool> making{false};

void a_while() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

TEST(ProcessWide, IsMadeOnceWhenItIsFirstNeeded) {
  static constinit ProcessWide<int> number([] {
    a_while();
    return ++made;
  });
  made = 0;
  std::thread other([] { EXPECT_EQ(number.get(), 1); });
  EXPECT_EQ(number.get(), 1);
  other.join();
  EXPECT_EQ(number.get(), 1);
  EXPECT_EQ(made, 1);
}

TEST(ProcessWide, WhatCouldNotBeMadeIsTriedAgain) {
  static constinit ProcessWide<int> number([] {
    if (++made == 1) throw std::bad_alloc();
    return 7;
  });
  made = 0;
  EXPECT_THROW(number.get(), std::bad_alloc);
  EXPECT_EQ(number.get(), 7);
}

TEST(ProcessWide, AForkWaitsUntilItIsMade) {
  static constinit ProcessWide<int> number([] {
    making = true;
    a_while();
    return 7;
  });
  std::thread maker([] { number.get(); });
  while (!making) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(number.get() == 7 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  maker.join();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace satchel::core
