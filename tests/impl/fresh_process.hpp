// For tests of what a process does once, such as loading a library: the test runs again, alone, in
// a new process of the same program. A test begins with
//
//   if (!in_fresh_process()) return;
#pragma once

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace satchel::core {

// True in the new process. False in the first one: the new one has run, and its failure is ours.
inline bool in_fresh_process() {
  constexpr const char* kMark = "SATCHEL_FRESH_PROCESS";
  if (std::getenv(kMark) != nullptr) return true;
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  std::string program = "/proc/self/exe";
  std::string filter = std::string("--gtest_filter=") + test.test_suite_name() + '.' + test.name();
  std::string brief = "--gtest_brief=1";
  std::vector<char*> arguments = {program.data(), filter.data(), brief.data(), nullptr};
  std::string mark = std::string(kMark) + "=1";
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(mark.data());
  environment.push_back(nullptr);

  pid_t child = -1;
  int status = -1;
  EXPECT_EQ(
      posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environment.data()),
      0);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "in the new process, see above";
  return false;
}

}  // namespace satchel::core
