// One request, from its first byte to its commit. Its calls follow the order in which a proxy has
// the data; any of them may be the last.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "prompt_cache/classification.hpp"
#include "prompt_cache/classifier.hpp"
#include "prompt_cache/prompt_cache.hpp"
#include "prompt_cache/prompt_digest.hpp"
#include "prompt_cache/response_filter.hpp"
#include "prompt_cache/usage.hpp"

namespace satchel::prompt_cache {

// Only POST .../chat/completions is ours.
bool is_cacheable(std::string_view method, std::string_view target);

// What to do with the request.
struct Forward {
  enum class Kind : std::uint8_t { kSend, kPassThrough, kReject };
  Kind kind = Kind::kSend;
  std::string_view body;  // to send, or the answer
  std::string_view target;
  bool body_changed = false;
  bool target_changed = false;
  int http_status = 0;  // of the answer
  core::Error error;    // why it was rejected
};

// What to do with the length of the response. Numbers equal SATCHEL_RESPONSE_*.
enum class ResponsePlan : std::int32_t { kAsIs = 0, kStream = 1, kHeld = 2 };

// Numbers equal SATCHEL_COMMIT_*.
enum class CommitState : std::int32_t {
  kOpen = 0,
  kNothing = 1,
  kHandedOver = 2,
  kVetoNon2xx = 3,
  kVetoNoUsage = 4,
  kVetoErrorFrame = 5,
  kVetoAborted = 6,
  kDropped = 7,
};

struct RequestResult {
  bool classified = false;
  bool active = false;
  bool degraded = false;
  bool had_markers = false;
  CommitState commit = CommitState::kOpen;
  UsageSeen seen;
  // As written into the response, or as it would have been with "inject" on; before its end, as far
  // as it is known.
  CacheUsage usage;
};

// One thread at a time.
class Request final : private UsageJudge {
 public:
  // `principal` and `api_key` say who is asking, the first that is not empty; the key is wiped
  // at the end.
  Request(std::shared_ptr<PromptCache> cache, std::string_view target, std::string_view principal,
          std::string_view api_key);
  ~Request() override;

  core::Result<Forward> body(std::string_view body);
  core::Result<void> classify();
  // The same on a thread of the library, without waiting for it. `done` is called once, unless this
  // fails: before this returns where there is nothing to ask or no room in the queue, and inside
  // abort() or the destructor if they come first.
  core::Result<void> classify_start(Classification::Done done);
  // Readable once what was started has ended; lives as long as the request.
  core::Result<int> descriptor();
  // From now on write() and end() keep back what needs an answer that is not there: see pending().
  void no_wait() { no_wait_ = true; }
  core::Result<ResponsePlan> response(int http_status, std::string_view content_type,
                                      std::string_view content_encoding);
  core::Result<std::string_view> write(std::string_view chunk);
  core::Result<std::string_view> end();
  // Whether the last write() or end() kept bytes back, or end() could not decide yet. Call write()
  // with nothing, or end() again, once classification has ended.
  [[nodiscard]] bool pending() const { return pending_; }
  void abort();
  [[nodiscard]] RequestResult result() const;

 private:
  enum class Stage : std::uint8_t { kNew, kForwarded, kResponding, kDone };

  UsageEdit judge(bool terminal) override;
  bool must_wait() override;
  void give_up_waiting() override;
  Forward reject(int http_status, std::string_view code, std::string_view param,
                 std::string_view message, core::Error error);
  void keep_prompt(Workspace& workspace);
  void keep_forwarded(Forward& forward);
  void start(Classification::Done done);
  void classify_now();
  void classify_here();
  void take_answer();
  void count_outcome();
  void count_abort();
  void count_drift();
  [[nodiscard]] bool answer_is_there() const;
  void finish();
  void decide_commit();
  [[nodiscard]] const UsageSeen& seen() const;

  const std::shared_ptr<PromptCache> cache_;
  Stage stage_ = Stage::kNew;
  Asker asker_;
  std::string target_;

  // Of the prompt.
  std::string forwarded_;  // the body made by us, or the answer of a rejection
  std::shared_ptr<const std::string> classified_body_;  // instead, where the classifier wants it
  bool has_model_ = false;
  bool had_markers_ = false;
  bool parsed_ = false;  // the digest stands for the prompt
  std::string model_;
  PromptDigest digest_;

  // Of the classification.
  std::shared_ptr<Classification> running_;  // where it was started
  bool no_wait_ = false;
  bool classified_ = false;
  Outcome outcome_;

  // Of the response.
  int http_status_ = 0;
  std::unique_ptr<ResponseFilter> filter_;  // none: the body passes as it is
  bool broken_ = false;
  bool ending_ = false;        // end() was called
  bool filter_ended_ = false;  // the filter has given everything
  bool pending_ = false;
  bool injected_ = false;  // our counts were written into a usage object
  CommitState commit_ = CommitState::kOpen;
};

}  // namespace satchel::prompt_cache
