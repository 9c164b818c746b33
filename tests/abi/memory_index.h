/* An index of the host's own, in C: an array under a lock. For the tests. */
#ifndef SATCHEL_TESTS_ABI_MEMORY_INDEX_H
#define SATCHEL_TESTS_ABI_MEMORY_INDEX_H

#include <pthread.h>
#include <satchel/satchel.h>
#include <stdlib.h>
#include <string.h>

struct memory_index_entry {
  uint8_t scope[16];
  satchel_entry entry;
};

struct memory_index {
  pthread_mutex_t mutex;
  struct memory_index_entry* entries;
  size_t count;
  size_t capacity;
  satchel_status answer;        /* of every call, where it is not OK */
  satchel_status commit_answer; /* of commits alone, likewise */
  int finds;
  int commits;
  int releases;
};

static inline struct memory_index_entry* memory_index_at(struct memory_index* index,
                                                         const satchel_scope* scope,
                                                         const uint8_t* hash) {
  size_t i = 0;
  for (i = 0; i < index->count; ++i) {
    if (memcmp(index->entries[i].scope, scope->id, sizeof scope->id) == 0 &&
        memcmp(index->entries[i].entry.hash, hash, 32) == 0) {
      return &index->entries[i];
    }
  }
  return NULL;
}

static inline satchel_status memory_index_find(void* user, const satchel_scope* scope,
                                               const uint8_t* hashes, size_t hash_count,
                                               int64_t live_after, satchel_index_answer* answer) {
  struct memory_index* index = (struct memory_index*)user;
  satchel_status status = SATCHEL_OK;
  size_t i = 0;
  pthread_mutex_lock(&index->mutex);
  ++index->finds;
  status = index->answer;
  for (i = 0; i < hash_count && status == SATCHEL_OK; ++i) {
    const struct memory_index_entry* found = memory_index_at(index, scope, hashes + 32 * i);
    if (found != NULL && found->entry.expires_at > live_after) {
      status = satchel_index_add(answer, &found->entry);
    }
  }
  pthread_mutex_unlock(&index->mutex);
  return status;
}

static inline satchel_status memory_index_commit(void* user, const satchel_commit* commit,
                                                 int32_t* refreshed) {
  struct memory_index* index = (struct memory_index*)user;
  satchel_status status = SATCHEL_OK;
  size_t i = 0;
  pthread_mutex_lock(&index->mutex);
  ++index->commits;
  status = index->answer != SATCHEL_OK ? index->answer : index->commit_answer;
  for (i = 0; i < commit->entry_count && status == SATCHEL_OK; ++i) {
    struct memory_index_entry* entry =
        memory_index_at(index, commit->scope, commit->entries[i].hash);
    if (entry == NULL) {
      if (index->count == index->capacity) {
        const size_t capacity = index->capacity == 0 ? 16 : 2 * index->capacity;
        void* more = realloc(index->entries, capacity * sizeof *index->entries);
        if (more == NULL) abort();
        index->entries = (struct memory_index_entry*)more;
        index->capacity = capacity;
      }
      entry = &index->entries[index->count++];
      memcpy(entry->scope, commit->scope->id, sizeof entry->scope);
    }
    entry->entry = commit->entries[i];
  }
  if (status == SATCHEL_OK && commit->refresh_hash != NULL) {
    struct memory_index_entry* entry = memory_index_at(index, commit->scope, commit->refresh_hash);
    if (entry != NULL) {
      entry->entry.expires_at = commit->refresh_expires_at;
      *refreshed = 1;
    }
  }
  pthread_mutex_unlock(&index->mutex);
  return status;
}

static inline satchel_status memory_index_clear(void* user) {
  struct memory_index* index = (struct memory_index*)user;
  pthread_mutex_lock(&index->mutex);
  index->count = 0;
  pthread_mutex_unlock(&index->mutex);
  return SATCHEL_OK;
}

static inline void memory_index_answer(struct memory_index* index, satchel_status answer) {
  pthread_mutex_lock(&index->mutex);
  index->answer = answer;
  pthread_mutex_unlock(&index->mutex);
}

static inline void memory_index_refuse_commits(struct memory_index* index, satchel_status answer) {
  pthread_mutex_lock(&index->mutex);
  index->commit_answer = answer;
  pthread_mutex_unlock(&index->mutex);
}

static inline void memory_index_release(void* user) { ++((struct memory_index*)user)->releases; }

static inline satchel_index memory_index_table(struct memory_index* index) {
  satchel_index table;
  satchel_index_init(&table);
  table.user = index;
  table.release = memory_index_release;
  table.find = memory_index_find;
  table.commit = memory_index_commit;
  table.clear = memory_index_clear;
  return table;
}

static inline void memory_index_begin(struct memory_index* index) {
  memset(index, 0, sizeof *index);
  pthread_mutex_init(&index->mutex, NULL);
}

static inline void memory_index_end(struct memory_index* index) {
  free(index->entries);
  pthread_mutex_destroy(&index->mutex);
}

#endif
