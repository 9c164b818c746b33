#include "prompt_cache/tokenizer_wire.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace satchel::prompt_cache {
namespace {

using Counts = std::vector<std::uint32_t>;

TEST(TokenizeBody, HasModelAndTexts) {
  const std::vector<Segment> segments{{"a\"b", 3}, {"", 0}, {"é\n", 3}};
  EXPECT_EQ(tokenize_body("m/\"1\"", segments),
            R"({"virtual_model":"m/\"1\"","segments":["a\"b","","é\n"]})");
  EXPECT_EQ(tokenize_body("m", {}), R"({"virtual_model":"m","segments":[]})");
}

TEST(RenderBody, HasThePromptAsItIsAndPrefixesInWireForm) {
  const std::vector<Prefix> prefixes{
      {2, -1, -1, -1}, {-1, 0, -1, -1}, {-1, 3, 1, -1}, {-1, 7, -1, 0}};
  EXPECT_EQ(render_body("m", {"[1, 2]", "[{}]", prefixes}),
            R"({"virtual_model":"m","messages":[1, 2],"tools":[{}],"add_generation_prompt":true,)"
            R"("prefixes":[{"tools":2},{"message":0},{"message":3,"block":1},)"
            R"({"message":7,"tool_call":0}],"return_rendered":false})");
}

TEST(RenderBody, WithoutToolsSaysNothingOfThem) {
  EXPECT_EQ(render_body("m", {"[]", "", {}}),
            R"({"virtual_model":"m","messages":[],"add_generation_prompt":true,"prefixes":[],)"
            R"("return_rendered":false})");
}

TEST(ReadVersions, TakesModelsWithAndWithoutATemplate) {
  const auto models =
      read_versions(R"({"models":[{"alias":"a","hf_repo":"o/a","tokenizer_version":"t1"},)"
                    R"({"alias":"\u0062","tokenizer_version":"t2","template_version":"x"},)"
                    R"({"alias":"c","tokenizer_version":"t3","template_version":null}],"more":1})");
  ASSERT_TRUE(models);
  ASSERT_EQ(models->size(), 3U);
  EXPECT_EQ((*models)[0].model, "a");
  EXPECT_EQ((*models)[0].tokenizer, "t1");
  EXPECT_EQ((*models)[0].chat_template, "");
  EXPECT_EQ((*models)[1].model, "b");
  EXPECT_EQ((*models)[1].chat_template, "x");
  EXPECT_EQ((*models)[2].chat_template, "");
  EXPECT_TRUE(read_versions(R"({"models":[]})")->empty());
}

TEST(ReadVersions, RefusesTheWholeListWhereAnyOfItIsWrong) {
  for (const char* body : {
           "",
           "null",
           "[]",
           "{}",
           "not json",
           R"({"models":null})",
           R"({"models":{}})",
           R"({"models":[null]})",
           R"({"models":[1]})",
           R"({"models":[{}]})",
           R"({"models":[{"alias":"a"}]})",
           R"({"models":[{"tokenizer_version":"t"}]})",
           R"({"models":[{"alias":1,"tokenizer_version":"t"}]})",
           R"({"models":[{"alias":"a","tokenizer_version":1}]})",
           R"({"models":[{"alias":"a","tokenizer_version":""}]})",
           R"({"models":[{"alias":"a","tokenizer_version":"t","template_version":1}]})",
           R"({"models":[{"alias":"a","tokenizer_version":"t"},{}]})",
           R"({"models":[{"alias":"a","tokenizer_version":"t"}])",
           R"({"models":[{"alias":"a","tokenizer_version":"t"}]} x)",
       }) {
    const auto models = read_versions(body);
    ASSERT_FALSE(models) << body;
    EXPECT_EQ(tokenizer_fault(models.error()), TokenizerFault::kBadAnswer) << body;
  }
}

TEST(ReadTokenCounts, TakesCountsThatAddUp) {
  EXPECT_EQ(
      *read_token_counts(R"({"virtual_model":"m","tokenizer_version":"t","segment_counts":[3,0,4],)"
                         R"("cumulative":[3,3,7],"total":7})"),
      (Counts{3, 3, 7}));
  EXPECT_EQ(*read_token_counts(R"({"segment_counts":[],"cumulative":[],"total":0})"), Counts{});
  EXPECT_EQ(*read_token_counts(
                R"({"segment_counts":[4294967295],"cumulative":[4294967295],"total":4294967295})"),
            (Counts{4294967295U}));
}

TEST(ReadTokenCounts, RefusesEverythingElse) {
  for (const char* body : {
           "",
           "[]",
           "{}",
           "{",
           R"({"cumulative":[1]})",
           R"({"segment_counts":[1],"cumulative":[1]})",
           R"({"segment_counts":[1],"total":1})",
           R"({"cumulative":[1],"total":1})",
           R"({"segment_counts":1,"cumulative":1,"total":1})",
           R"({"segment_counts":[1],"cumulative":[1],"total":2})",
           R"({"segment_counts":[2],"cumulative":[1],"total":1})",
           R"({"segment_counts":[1,1],"cumulative":[1],"total":1})",
           R"({"segment_counts":[1],"cumulative":[1,2],"total":2})",
           R"({"segment_counts":[1,-1],"cumulative":[1,0],"total":0})",
           R"({"segment_counts":[1.0],"cumulative":[1.0],"total":1.0})",
           R"({"segment_counts":["1"],"cumulative":["1"],"total":"1"})",
           R"({"segment_counts":[null],"cumulative":[null],"total":null})",
           R"({"segment_counts":[true],"cumulative":[true],"total":true})",
           R"({"segment_counts":[4294967296],"cumulative":[4294967296],"total":4294967296})",
           R"({"segment_counts":[4294967295,1],"cumulative":[4294967295,0],"total":0})",
           R"({"segment_counts":[1e0],"cumulative":[1],"total":1})",
           R"({"segment_counts":[1],"cumulative":[1],"total":1)",
       }) {
    const auto counts = read_token_counts(body);
    ASSERT_FALSE(counts) << body;
    EXPECT_EQ(tokenizer_fault(counts.error()), TokenizerFault::kBadAnswer) << body;
  }
}

TEST(ReadRenderCounts, TakesATotalAndCountsOfWhichSomeMayBeNull) {
  const auto counts = read_render_counts(
      R"({"total":12,"prefix_counts":[null,0,7],"template_version":"x","rendered":null})");
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->total, 12U);
  ASSERT_EQ(counts->prefixes.size(), 3U);
  EXPECT_FALSE(counts->prefixes[0]);
  EXPECT_EQ(counts->prefixes[1], 0U);
  EXPECT_EQ(counts->prefixes[2], 7U);
}

TEST(ReadRenderCounts, RefusesEverythingElse) {
  for (const char* body : {
           "",
           "[]",
           "{}",
           R"({"total":1})",
           R"({"prefix_counts":[]})",
           R"({"total":null,"prefix_counts":[]})",
           R"({"total":-1,"prefix_counts":[]})",
           R"({"total":1.5,"prefix_counts":[]})",
           R"({"total":4294967296,"prefix_counts":[]})",
           R"({"total":1,"prefix_counts":null})",
           R"({"total":1,"prefix_counts":{}})",
           R"({"total":1,"prefix_counts":["1"]})",
           R"({"total":1,"prefix_counts":[-1]})",
           R"({"total":1,"prefix_counts":[1.0]})",
           R"({"total":1,"prefix_counts":[false]})",
           R"({"total":1,"prefix_counts":[[1]]})",
           R"({"total":1,"prefix_counts":[4294967296]})",
           R"({"total":1,"prefix_counts":[1)",
       }) {
    const auto counts = read_render_counts(body);
    ASSERT_FALSE(counts) << body;
    EXPECT_EQ(tokenizer_fault(counts.error()), TokenizerFault::kBadAnswer) << body;
  }
}

TEST(FaultOfAStatus, IsToldByStatusAndCode) {
  using enum TokenizerFault;
  struct Row {
    int status;
    const char* body;
    TokenizerFault tokenize;
    TokenizerFault render;
  };
  const Row rows[] = {
      {422, R"({"code":"UNMAPPED_MODEL"})", kUnmapped, kUnmapped},
      {422, R"({"error":{"code":"UNMAPPED_MODEL"}})", kUnmapped, kUnmapped},
      {422, R"({"code":"NO_CHAT_TEMPLATE"})", kBadAnswer, kNoTemplate},
      {422, "", kBadAnswer, kBadAnswer},
      {400, R"({"code":"TEMPLATE_RENDER_FAILED"})", kBadAnswer, kRenderFailed},
      {400, "", kBadAnswer, kRenderFailed},
      {404, R"({"code":"UNMAPPED_MODEL"})", kBadAnswer, kBadAnswer},
      {500, R"({"code":"NO_CHAT_TEMPLATE"})", kBadAnswer, kBadAnswer},
      {503, "", kBadAnswer, kBadAnswer},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(fault_of_tokenize(row.status, row.body), row.tokenize) << row.status << row.body;
    EXPECT_EQ(fault_of_render(row.status, row.body), row.render) << row.status << row.body;
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
