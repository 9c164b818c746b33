#include "recorded_tokenizer.hpp"

#include <utility>

namespace vectors {

namespace {

std::string text_or_empty(Json object, std::string_view name) {
  const std::optional<Json> found = member(object, name);
  return found ? std::string(found->get_string().value()) : std::string();
}

[[noreturn]] void fail_as_service() { throw satchel::Error(SATCHEL_ERR_CALLBACK); }

}  // namespace

void Recording::begin_step(std::vector<Json> calls) {
  const std::lock_guard lock(mutex_);
  calls_ = std::move(calls);
  made_ = 0;
  problems_.clear();
}

void Recording::end_step(Verdict& verdict) {
  const std::lock_guard lock(mutex_);
  for (const std::string& problem : problems_) verdict.fail("tokenizer", problem);
  verdict.equal("tokenizer calls made", calls_.size(), made_);
}

Json Recording::next(std::string_view method, std::string_view path) {
  const std::string asked = std::string(method) + " " + std::string(path);
  if (made_ >= calls_.size()) {
    problems_.push_back("call not recorded: " + asked);
    fail_as_service();
  }
  current_ = calls_[made_++];
  const std::string recorded =
      text_or_empty(current_, "method") + " " + text_or_empty(current_, "path");
  if (recorded != asked) {
    problems_.push_back("recorded call " + std::to_string(made_ - 1) + " is " + recorded +
                        ", asked for " + asked);
    fail_as_service();
  }
  return current_;
}

// Nothing but an answer of status 200 in the agreed shape counts; simdjson's exceptions are the
// service's failure as well.
std::vector<satchel::TokenizerModel> Recording::versions() {
  const std::lock_guard lock(mutex_);
  const Json call = next("GET", "/v1/models");
  if (unsigned_integer(call, "status") != 200) fail_as_service();
  std::vector<satchel::TokenizerModel> found;
  for (const Json model : array(call["response"].value(), "models")) {
    found.push_back({text_or_empty(model, "alias"), text_or_empty(model, "tokenizer_version"),
                     text_or_empty(model, "template_version")});
  }
  return found;
}

std::vector<std::uint32_t> Recording::tokenize(std::string_view model,
                                               const satchel::Segments& segments) {
  const std::lock_guard lock(mutex_);
  const Json call = next("POST", "/v1/tokenize");
  compare_request(call["request"], model, segments);
  if (unsigned_integer(call, "status") != 200) fail_as_service();
  std::vector<std::uint32_t> counts;
  for (const Json count : array(call["response"].value(), "cumulative")) {
    counts.push_back(static_cast<std::uint32_t>(count.get_uint64().value()));
  }
  return counts;
}

void Recording::compare_request(Json request, std::string_view model,
                                const satchel::Segments& segments) {
  Verdict differences;
  differences.set_context("call " + std::to_string(made_ - 1) + " ");
  differences.equal("members", std::size_t{2}, request.get_object().value().size());
  differences.equal("virtual_model", text_or_empty(request, "virtual_model"), model);
  const auto recorded = array(request, "segments");
  differences.equal("segments, how many", recorded.size(), segments.size());
  std::size_t i = 0;
  for (const Json segment : recorded) {
    if (i == segments.size()) break;
    differences.equal("segments[" + std::to_string(i) + "]", segment.get_string().value(),
                      segments[i]);
    ++i;
  }
  problems_.insert(problems_.end(), differences.problems().begin(), differences.problems().end());
}

}  // namespace vectors
