// A tokenizer service that answers as it did when the vectors were made: the calls in the order
// recorded, each compared with what the library asks. It remembers nothing itself, so that what the
// library remembers of the list of models is compared as well.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "document.hpp"
#include "satchel/satchel.hpp"
#include "verdict.hpp"

namespace vectors {

// What was recorded for a step, and how far it has been asked for. Shared with the tokenizer, which
// the library owns. Any thread.
class Recording {
 public:
  void begin_step(std::vector<Json> calls);
  // Fails for every call that nobody made, that was not recorded or asked for something else.
  void end_step(Verdict& verdict);

  std::vector<satchel::TokenizerModel> versions();
  std::vector<std::uint32_t> tokenize(std::string_view model, const satchel::Segments& segments);
  satchel::RenderCounts render(std::string_view model, const satchel::RenderRequest& request);
  // The same as a service.
  satchel::HttpAnswer send(const satchel::HttpRequest& request);

 private:
  // The answer to the next call, which must be this one. Throws for a status that is not 200.
  Json next(std::string_view method, std::string_view path);
  void compare_request(Json request, std::string_view model, const satchel::Segments& segments);
  void compare_body(Json request, std::string_view body);

  std::mutex mutex_;
  std::vector<Json> calls_;
  std::size_t made_ = 0;
  Json current_;
  std::vector<std::string> problems_;
};

class RecordedTokenizer final : public satchel::Tokenizer {
 public:
  explicit RecordedTokenizer(std::shared_ptr<Recording> recording)
      : recording_(std::move(recording)) {}
  std::vector<satchel::TokenizerModel> versions(std::string_view /*model*/) override {
    return recording_->versions();
  }
  std::vector<std::uint32_t> tokenize(std::string_view model,
                                      const satchel::Segments& segments) override {
    return recording_->tokenize(model, segments);
  }
  [[nodiscard]] bool renders() const override { return true; }
  satchel::RenderCounts render(std::string_view model,
                               const satchel::RenderRequest& request) override {
    return recording_->render(model, request);
  }

 private:
  std::shared_ptr<Recording> recording_;
};

// What stands before the paths of the recorded calls.
constexpr const char* kServiceUrl = "http://tokenizer.invalid";

class RecordedService final : public satchel::Http {
 public:
  explicit RecordedService(std::shared_ptr<Recording> recording)
      : recording_(std::move(recording)) {}
  satchel::HttpAnswer send(const satchel::HttpRequest& request) override {
    return recording_->send(request);
  }

 private:
  std::shared_ptr<Recording> recording_;
};

}  // namespace vectors
