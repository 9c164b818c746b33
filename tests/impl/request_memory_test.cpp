// What a request needs of memory, and what it does without.
#include "allocations.hpp"
#include "request_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

using namespace request_fixture;

// Whatever allocation fails: an error or an uncached request, never a crash, a leak, or a clean end
// of a response that lost bytes.
TEST_F(RequestTest, EveryAllocationMayFail) {
  bool failed = true;
  for (std::size_t nth = 1; failed && nth < 2000; ++nth) {
    forget_cache();  // so that nothing was made before
    std::unique_ptr<Request> made;
    (void)cache();
    {
      const test::FailingAllocation failing(nth);
      try {
        made = std::make_unique<Request>(
            shared_cache(), "/v1/chat/completions?cacheBreakpoint=lastUserMessage", "", "sk-1");
        if (const auto forward = made->body(kUnmarked)) {
          (void)made->classify();
          (void)made->response(200, "text/event-stream", "");
          (void)made->write(kEarlyUsage);
          (void)made->write(kTerminalFrame);
          (void)made->end();
        }
      } catch (const std::bad_alloc&) {
        // The ABI makes ERR_MEMORY of it.
      }
      made.reset();
      failed = failing.happened();
    }
  }
  EXPECT_FALSE(failed);
  EXPECT_EQ(usage_number(respond(*sent(), kAnswer), "cache_creation_input_tokens"), 10U);
}

// A conversation of an agent as clients send it: long texts, escapes, schemas, markers.
std::string agent_body(std::size_t bytes) {
  std::string body =
      R"({"model":"m","stream":true,"tools":[{"type":"function","function":{"name":"read",)"
      R"("parameters":{"type":"object","properties":{"path":{"type":"string"}}}}}],"messages":[)"
      R"({"role":"system","content":[{"type":"text","text":"You are an agent.",)"
      R"("cache_control":{"type":"ephemeral"}}]})";
  for (std::size_t turn = 0; body.size() < bytes; ++turn) {
    const std::string id = std::to_string(turn);
    body.append(R"(,{"role":"assistant","content":null,"tool_calls":[{"id":"call_)" + id +
                R"(","type":"function","function":{"name":"read","arguments":"{\"path\":\"src/)" +
                id + R"(.c\"}"}}]},{"role":"tool","tool_call_id":"call_)" + id +
                R"(","content":")");
    for (int line = 0; line < 20; ++line) body.append(R"(  if (x == \"y\") return f(x);\n)");
    body.append("\"}");
  }
  return body + R"(],"cache_control":{"type":"ephemeral","ttl":"1h"}})";
}

TEST_F(RequestTest, ABodyOfTwoMegabytesCostsAtMostFourTimesItsSizeWhileInFlight) {
  const std::string body = agent_body(2'000'000);
  const auto most = static_cast<std::ptrdiff_t>(4 * body.size());
  for (const std::string_view target :
       {"/v1/chat/completions", "/v1/chat/completions?cacheBreakpoint=lastUserMessage"}) {
    for (int round = 0; round < 2; ++round) {
      auto made = request(target);  // makes the cache
      const std::ptrdiff_t before = test::live_bytes();
      test::count_peak_from_now();
      ASSERT_EQ(made->body(body)->kind, Forward::Kind::kSend);
      EXPECT_LE(test::peak_bytes() - before, most) << target;
      EXPECT_LE(test::live_bytes() - before, most) << target;
      respond(*made, kTerminalFrame, kStream);
      EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
    }
  }
}

// Memory is bounded by configuration, not by the largest body that ever came.
TEST_F(RequestTest, WhatAHugeBodyNeededIsGivenBack) {
  std::string body = R"({"model":"m","messages":[{"role":"user","content":[0)";
  for (int i = 0; i < 2'000'000; ++i) body.append(",0");
  body.append(R"(]}],"x":{"m":")" + std::string(8'000'000, 'x') + R"(\/"}})");
  respond(*sent(), kAnswer);
  const std::ptrdiff_t before = test::live_bytes();
  sent(body).reset();
  EXPECT_LT(test::live_bytes() - before, 16 << 20);
}

// A request is over when it is freed, and freeing cannot report a failure.
TEST_F(RequestTest, FreeingARequestNeedsNoMemory) {
  for (int open = 0; open < 40; ++open) {
    std::vector<std::unique_ptr<Request>> requests;
    for (int i = 0; i <= open; ++i) requests.push_back(sent());
    for (auto& made : requests) {
      const std::size_t before = test::allocations();
      made.reset();
      EXPECT_EQ(test::allocations(), before);
    }
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
