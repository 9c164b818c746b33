// Remembered fingerprints that outlive their process.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fingerprints_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class ShelvedFingerprintsTest : public FingerprintsTest {
 protected:
  void SetUp() override {
    SKIP_WHERE_NOTHING_IS_REMEMBERED();
    path_ = directory_.write("a", "hello");
    fingerprints_ = make({}, &shelf_);
    make_known(path_);
    ASSERT_EQ(shelf_.kept.size(), 1U);
  }
  // As a process that starts now would find it.
  bool found_by_another() {
    const auto another = make({}, &shelf_);
    EXPECT_EQ(ask(*another, path_), hash_of("hello"));
    return another->counts().hashed == 0;
  }
  RememberedFingerprint& kept() { return shelf_.kept.begin()->second; }

  ShelfInMemory shelf_;
  std::string path_;
};

TEST_F(ShelvedFingerprintsTest, AnotherProcessNeedNotHash) { EXPECT_TRUE(found_by_another()); }

TEST_F(ShelvedFingerprintsTest, TheShelfIsAskedOnce) {
  const auto another = make({}, &shelf_);
  shelf_.finds = 0;
  for (int i = 0; i < 5; ++i) ask(*another, path_);
  EXPECT_EQ(shelf_.finds, 1);
}

TEST_F(ShelvedFingerprintsTest, WhatWasRememberedAtOnceIsShelvedToo) {
  const std::string path = directory_.write("b", "world");
  let_settle();
  ask(*fingerprints_, path);
  fingerprints_->settle_pending();
  EXPECT_EQ(shelf_.kept.count({path, Form::kContent}), 1U);
}

TEST_F(ShelvedFingerprintsTest, WhatWasLearntBeforeTheClockWasSetProvesNothing) {
  kept().epoch.offset_ns += core::kNanosPerSecond;
  EXPECT_FALSE(found_by_another());
}

TEST_F(ShelvedFingerprintsTest, WhatWasLearntBeforeTheMachineStartedProvesNothing) {
  kept().epoch.boot[0] ^= 1;
  EXPECT_FALSE(found_by_another());
}

TEST_F(ShelvedFingerprintsTest, EveryPartOfTheStampCounts) {
  const core::FileStamp truth = kept().stamp;
  const std::vector<void (*)(core::FileStamp&)> changes = {
      [](core::FileStamp& s) { ++s.device; },   [](core::FileStamp& s) { ++s.inode; },
      [](core::FileStamp& s) { ++s.size; },     [](core::FileStamp& s) { ++s.mtime_ns; },
      [](core::FileStamp& s) { ++s.ctime_ns; }, [](core::FileStamp& s) { s.mode ^= 1; }};
  for (const auto change : changes) {
    kept().stamp = truth;
    change(kept().stamp);
    EXPECT_FALSE(found_by_another());
  }
  kept().stamp = truth;
  EXPECT_TRUE(found_by_another());
}

TEST_F(ShelvedFingerprintsTest, WhatIsNoFingerprintOfTheFormIsNotBelieved) {
  const std::string truth = kept().fingerprint;
  for (const std::string& wrong : {std::string(), truth.substr(1), truth.substr(1) + "G",
                                   "dir:" + truth, "stat:" + truth.substr(5)}) {
    kept().fingerprint = wrong;
    EXPECT_FALSE(found_by_another()) << wrong;
  }
}

}  // namespace
}  // namespace satchel::tool_cache
