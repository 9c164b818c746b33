#include "cascade/transcript_index.hpp"

#include <cerrno>
#include <system_error>

#include "cascade/transcript_update.hpp"

namespace satchel::cascade {
namespace {

constexpr std::chrono::seconds kRefusalLasts{30};
constexpr std::size_t kMostRefusals = 10'000;

}  // namespace

bool TranscriptIndex::refused(const ListedTranscript& listed) {
  const auto known = refusals_.find(listed.name);
  if (known == refusals_.end()) return false;
  if (known->second.stamp == listed.stamp &&
      std::chrono::steady_clock::now() < known->second.until) {
    return true;
  }
  refusals_.erase(known);
  return false;
}

void TranscriptIndex::refuse(const ListedTranscript& listed, int os_errno) {
  if (os_errno == ENOENT) return;  // deleted since it was listed
  complaints_.say("cannot read " + transcript_path(settings_, listed.name) + ": " +
                  std::generic_category().message(os_errno) + "; skipped");
  if (refusals_.size() >= kMostRefusals) refusals_.clear();
  refusals_[listed.name] = {listed.stamp, std::chrono::steady_clock::now() + kRefusalLasts};
}

bool TranscriptIndex::answer(TranscriptStore& store, const TranscriptListing& listing,
                             const Ask& ask) {
  store.begin_read();
  const TranscriptUpdate look(*this, store, listing);
  if (store.failed()) return false;
  if (!look.needed()) {
    ask(store);
    const bool answered = !store.failed();
    store.roll_back();
    return answered;
  }
  store.roll_back();

  store.begin_write();
  if (store.failed()) return false;
  // Another process may have written down the same news, and later ones, than our look saw.
  std::optional<TranscriptListing> later;
  if (store.transcripts() != look.known()) later = list_transcripts(settings_, complaints_);
  TranscriptUpdate update(*this, store, later ? *later : listing);
  if (update.needed()) update.apply();
  if (store.failed()) return false;
  ask(store);
  if (store.failed()) return false;
  // From here on the answer is right, whether or not it can be kept.
  store.commit();
  return true;
}

}  // namespace satchel::cascade
