// A host that may not wait: the descriptor, and what is kept back until the answer is there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "classification_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

TEST_F(ClassificationTest, ADescriptorIsReadableForEverOnceItHasEnded) {
  auto made = sent();
  ASSERT_TRUE(made->classify_start({}));
  gate.await_inside(1);
  const int fd = *made->descriptor();
  EXPECT_EQ(*made->descriptor(), fd);
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(readable(fd));
  gate.open();
  EXPECT_TRUE(readable(fd, 60'000));
  std::uint64_t read_away = 0;
  EXPECT_EQ(read(fd, &read_away, sizeof read_away), 8);
  EXPECT_TRUE(readable(fd));
  made.reset();
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);

  auto late = sent();
  ASSERT_TRUE(late->classify());
  ASSERT_TRUE(late->classify_start({}));
  EXPECT_TRUE(readable(*late->descriptor()));
}

TEST_F(ClassificationTest, AHostThatMayNotWaitGetsTheRestLater) {
  auto made = streaming();
  made->no_wait();
  ASSERT_TRUE(made->classify_start({}));
  gate.await_inside(1);
  EXPECT_EQ(taken(made->write(kToken)), kToken);
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(taken(made->write(std::string(kToken) + std::string(kUsage))), kToken);
  EXPECT_TRUE(made->pending());
  EXPECT_EQ(taken(made->write(kDone)), "");
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_TRUE(made->pending());
  EXPECT_EQ(made->write("x").error().status, Status::kState);
  EXPECT_EQ(made->result().commit, CommitState::kOpen);
  gate.open();
  ASSERT_TRUE(readable(*made->descriptor(), 60'000));
  EXPECT_EQ(std::string(kToken) + taken(made->write("")), injected_stream());
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
}

TEST_F(ClassificationTest, AJsonAnswerIsKeptUntilItCanBeEdited) {
  auto made = sent();
  made->no_wait();  // and it starts by itself when it is needed
  ASSERT_TRUE(made->response(200, "application/json", ""));
  EXPECT_EQ(taken(made->write(kAnswer)), "");
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_TRUE(made->pending());
  EXPECT_EQ(taken(made->end()), "");
  gate.open();
  ASSERT_TRUE(readable(*made->descriptor(), 60'000));
  EXPECT_NE(taken(made->end()).find("\"cache_creation_input_tokens\":10"), std::string::npos);
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(made->end().error().status, Status::kState);
}

TEST_F(ClassificationTest, AnAnswerWithoutUsageWaitsOnlyToBeDecided) {
  auto made = sent();
  made->no_wait();
  ASSERT_TRUE(made->classify_start({}));
  ASSERT_TRUE(made->response(200, "text/html", ""));
  EXPECT_EQ(taken(made->write("page")), "page");
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_TRUE(made->pending());
  gate.open();
  ASSERT_TRUE(readable(*made->descriptor(), 60'000));
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(made->result().commit, CommitState::kVetoNoUsage);
}

TEST_F(ClassificationTest, WhatIsKeptBackIsBounded) {
  config_text = R"({"max_event_bytes":300,"models":{"*":{"min_prefix_tokens":1}}})";
  auto made = streaming();
  made->no_wait();
  Endings endings;
  ASSERT_TRUE(made->classify_start(endings.done()));
  gate.await_inside(1);
  std::string in(kUsage);
  std::string out = taken(made->write(kUsage));
  EXPECT_TRUE(made->pending());
  for (int i = 0; i < 20; ++i) {
    in.append(kToken);
    out += taken(made->write(kToken));
  }
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(out, in);
  EXPECT_EQ(endings.all(), std::vector{End::kTooFarAhead});
  taken(made->end());
  EXPECT_FALSE(made->result().active);
}

TEST_F(ClassificationTest, AHostThatMayNotWaitCanLeaveAtAnyTime) {
  auto made = streaming();
  made->no_wait();
  ASSERT_TRUE(made->classify_start({}));
  taken(made->write(std::string(kUsage) + std::string(kDone)));
  made->abort();
  EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
  EXPECT_EQ(made->end().error().status, Status::kState);
}

// The gate opens somewhere in the stream: whatever was kept by then, the client gets the same.
TEST_F(ClassificationTest, WaitingAndNotWaitingGiveTheSameBytesWhateverTheCuts) {
  std::mt19937 random(7);
  std::string stream;
  for (int i = 0; i < 5; ++i) stream.append(kToken);
  stream.append(": a comment\r\n\r\n").append(kUsage).append(kToken).append(kDone);
  gate.open();
  auto waiting = streaming();
  ASSERT_TRUE(waiting->classify_start({}));
  const std::string expected = respond(*waiting, stream);
  for (int round = 0; round < 60; ++round) {
    gate.close();
    auto made = streaming();
    made->no_wait();
    ASSERT_TRUE(made->classify_start({}));
    const std::size_t opens_at = random() % (stream.size() + 1);
    std::string out;
    bool open = false;
    for (std::size_t at = 0; at < stream.size();) {
      if (at >= opens_at && !open) {
        open = true;
        gate.open();
        ASSERT_TRUE(readable(*made->descriptor(), 60'000));
      }
      const std::size_t size = std::min<std::size_t>(1 + random() % 90, stream.size() - at);
      out += taken(made->write(std::string_view(stream).substr(at, size)));
      at += size;
    }
    out += taken(made->end());
    if (made->pending()) {
      gate.open();
      ASSERT_TRUE(readable(*made->descriptor(), 60'000));
      out += taken(made->end());
    }
    EXPECT_EQ(out, expected) << round;
    EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
