#include "prompt_cache/prompt_digest.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace satchel::prompt_cache {
namespace {

// A body of `blocks` string messages ("text 0", ...); those in `marked` are arrays with a marker.
std::string body_of(std::size_t blocks, const std::vector<std::size_t>& marked) {
  std::string body = R"({"messages":[)";
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::string text = R"({"type":"text","text":"text )" + std::to_string(i) + "\"";
    bool is_marked = false;
    for (const std::size_t m : marked) is_marked |= m == i;
    body.append(i == 0 ? "" : ",").append(R"({"role":"user","content":[)" + text);
    body.append(is_marked ? R"(,"cache_control":{"type":"ephemeral"}}]})" : "}]}");
  }
  return body + "]}";
}

PrefixHash hash_up_to(std::size_t block) {
  std::string bytes;
  for (std::size_t i = 0; i <= block; ++i) {
    bytes.append("user").push_back('\0');
    bytes.append(R"({"text":"text )" + std::to_string(i) + R"(","type":"text"})");
  }
  return core::sha256(bytes);
}

PromptDigest digest_of(std::string_view body, KeptText keep) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(body)) << body;
  const PromptPolicy policy;
  Prompt prompt;
  prompt.read(tape, policy);
  EXPECT_TRUE(prompt.find_breakpoints());
  core::JsonCanonical canonical;
  core::Sha256 hash;
  hash.update("of the request before");
  PromptDigest digest;
  digest.make(prompt, keep, canonical, hash);
  return digest;
}

std::vector<std::uint32_t> descending(std::uint32_t from, std::uint32_t to) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = from + 1; i-- > to;) out.push_back(i);
  return out;
}

TEST(PromptDigest, WithoutABreakpointThereIsNothing) {
  const PromptDigest digest = digest_of(body_of(5, {}), KeptText::kMarked);
  EXPECT_TRUE(digest.breakpoints().empty());
  EXPECT_TRUE(digest.candidates().empty());
}

TEST(PromptDigest, CandidatesAreTheBreakpointsHashAndThoseBeforeItTwentyInAllLongestFirst) {
  struct Row {
    std::size_t marked;
    std::uint32_t last;
  };
  for (const Row& row :
       {Row{0, 0}, Row{1, 0}, Row{18, 0}, Row{19, 0}, Row{20, 1}, Row{24, 5}, Row{39, 20}}) {
    const PromptDigest digest = digest_of(body_of(42, {row.marked}), KeptText::kNone);
    EXPECT_EQ(digest.candidate_blocks(),
              descending(static_cast<std::uint32_t>(row.marked), row.last));
    EXPECT_EQ(digest.candidates().size(), candidate_count(row.marked));
    EXPECT_LE(digest.candidates().size(), 20U);
    for (std::size_t i = 0; i < digest.candidates().size(); ++i) {
      EXPECT_EQ(digest.candidates()[i], hash_up_to(digest.candidate_blocks()[i]));
    }
  }
}

TEST(PromptDigest, CandidatesOfAllBreakpointsComeTogetherEachOnce) {
  const PromptDigest near = digest_of(body_of(40, {5, 10, 25}), KeptText::kNone);
  EXPECT_EQ(near.candidate_blocks(), descending(25, 0));
  const PromptDigest far = digest_of(body_of(80, {2, 30, 70}), KeptText::kNone);
  std::vector<std::uint32_t> expected = descending(70, 51);
  for (const std::uint32_t block : descending(30, 11)) expected.push_back(block);
  for (const std::uint32_t block : descending(2, 0)) expected.push_back(block);
  EXPECT_EQ(far.candidate_blocks(), expected);
  EXPECT_EQ(digest_of(body_of(200, {30, 80, 130, 190}), KeptText::kNone).candidates().size(), 80U);
}

TEST(PromptDigest, KnowsTheHashOfEachBreakpoint) {
  const PromptDigest digest = digest_of(body_of(80, {2, 30, 70}), KeptText::kNone);
  for (const std::size_t block : {2U, 30U, 70U})
    EXPECT_EQ(digest.hash_of(block), hash_up_to(block));
}

TEST(PromptDigest, SegmentsAreTheTextsOfTheBlocks) {
  const std::string body =
      R"({"tools":[{"b":1,"a":"\u0041"}],"messages":[{"role":"user","content":"a\nb"},
         {"role":"user","content":[{"text":"é","cache_control":{"type":"ephemeral"}},{"text":"behind it"}]}]})";
  for (const bool keep : {true, false}) {
    const PromptDigest digest = digest_of(body, keep ? KeptText::kMarked : KeptText::kNone);
    const std::vector<Segment> all = digest.segments(0, 2);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].bytes, 15U);
    EXPECT_EQ(all[1].bytes, 3U);
    EXPECT_EQ(all[2].bytes, 2U);
    if (keep) {
      EXPECT_EQ(all[0].text, R"({"a":"A","b":1})");
      EXPECT_EQ(all[1].text, "a\nb");
      EXPECT_EQ(all[2].text, "é");
    } else {
      EXPECT_TRUE(all[0].text.empty());
    }
    const std::vector<Segment> last = digest.segments(2, 2);
    ASSERT_EQ(last.size(), 1U);
    EXPECT_EQ(last[0].bytes, 2U);
    EXPECT_EQ(last[0].text, keep ? "é" : "");
  }
}

TEST(PromptDigest, TextsBehindTheDeepestBreakpointAreKeptWhereAllAreWanted) {
  const std::string body =
      R"({"messages":[{"role":"user","content":[{"text":"a","cache_control":{"type":"ephemeral"}}]},
         {"role":"user","content":"b\n"},{"role":"assistant","tool_calls":[{"id": 1}]}]})";
  const PromptDigest digest = digest_of(body, KeptText::kAll);
  ASSERT_EQ(digest.kept_blocks(), 3U);
  const std::vector<Segment> all = digest.segments(0, 2);
  EXPECT_EQ(all[0].text, "a");
  EXPECT_EQ(all[1].text, "b\n");
  EXPECT_EQ(all[2].text, R"({"id":1})");
  const PromptDigest marked = digest_of(body, KeptText::kMarked);
  EXPECT_EQ(marked.kept_blocks(), 1U);
  EXPECT_EQ(marked.candidates(), digest.candidates());
}

TEST(PromptDigest, LengthsAreTheSameWhetherTextsAreKeptOrNot) {
  const std::string body =
      R"({"tools":[{"x":1.50,"s":"\/"}],"messages":[{"role":"user","content":"\ud83d\ude00\u0000\n"},
         {"content":[1,{"text":null},{"text":"\u00e9\\"}]},
         {"role":"assistant","tool_calls":[{"y":[1e40,2]}]}],"cache_control":{"type":"ephemeral"}})";
  const PromptDigest kept = digest_of(body, KeptText::kMarked);
  const PromptDigest counted = digest_of(body, KeptText::kNone);
  const std::size_t deepest = kept.breakpoints().back().block;
  const auto a = kept.segments(0, deepest);
  const auto b = counted.segments(0, deepest);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].bytes, b[i].bytes) << i;
  EXPECT_EQ(kept.candidates(), counted.candidates());
}

}  // namespace
}  // namespace satchel::prompt_cache
