/* A store of the host in memory: some entries, a lock, and answers that a test may bend. */
#ifndef SATCHEL_TESTS_ABI_TOOL_MEMORY_STORE_H
#define SATCHEL_TESTS_ABI_TOOL_MEMORY_STORE_H

#include <pthread.h>
#include <satchel/satchel.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_STORE_ENTRIES = 64 };

struct memory_entry {
  char key[65];
  char* payload;
  size_t payload_len;
  char* meta;
  size_t meta_len;
  long stored; /* in which order */
};

struct memory_store {
  pthread_mutex_t mutex;
  struct memory_entry entries[MEMORY_STORE_ENTRIES];
  long stored;
  int releases;
  /* What is answered instead, by the callback's name: 'p'ersist, 'l'ookup, 'r'emove, 'c'ontains,
   * 'i'terate, 't'otal_bytes, 'e'vict_to_cap; and what runs inside it. */
  char where;
  satchel_status instead;
  void (*inside)(void);
};

static inline struct memory_entry* memory_find(struct memory_store* store, const char* key) {
  size_t i = 0;
  for (i = 0; i < MEMORY_STORE_ENTRIES; ++i) {
    if (memcmp(store->entries[i].key, key, 64) == 0) return &store->entries[i];
  }
  return NULL;
}

static inline void memory_drop(struct memory_entry* entry) {
  free(entry->payload);
  free(entry->meta);
  memset(entry, 0, sizeof *entry);
}

static inline char* memory_copy(const char* bytes, size_t len) {
  char* const copy = malloc(len + 1);
  if (copy != NULL && len != 0) memcpy(copy, bytes, len);
  return copy;
}

/* From now on, in the callback of that name; 0: in none. The cache's own thread calls them too. */
static inline void memory_interfere(struct memory_store* store, char where, satchel_status instead,
                                    void (*inside)(void)) {
  pthread_mutex_lock(&store->mutex);
  store->where = where;
  store->instead = instead;
  store->inside = inside;
  pthread_mutex_unlock(&store->mutex);
}

/* OK unless the test wants something else here. */
static inline satchel_status memory_enter(struct memory_store* store, char name) {
  satchel_status instead = SATCHEL_OK;
  void (*inside)(void) = NULL;
  pthread_mutex_lock(&store->mutex);
  if (store->where == name) {
    instead = store->instead;
    inside = store->inside;
  }
  pthread_mutex_unlock(&store->mutex);
  if (inside != NULL) inside();
  return instead;
}

static inline satchel_status memory_persist(void* user, const char* key, size_t key_len,
                                            const char* payload, size_t payload_len,
                                            const char* meta, size_t meta_len) {
  struct memory_store* const store = user;
  struct memory_entry* entry = NULL;
  satchel_status status = memory_enter(store, 'p');
  if (status != SATCHEL_OK) return status;
  if (key_len != 64) return SATCHEL_ERR_ARGUMENT;
  pthread_mutex_lock(&store->mutex);
  entry = memory_find(store, key);
  if (entry == NULL) {
    static const char none[64];
    entry = memory_find(store, none);
  }
  if (entry == NULL) {
    status = SATCHEL_ERR_LIMIT;
  } else {
    memory_drop(entry);
    memcpy(entry->key, key, 64);
    entry->payload = memory_copy(payload, payload_len);
    entry->payload_len = payload_len;
    entry->meta = memory_copy(meta, meta_len);
    entry->meta_len = meta_len;
    entry->stored = ++store->stored;
    if (entry->payload == NULL || entry->meta == NULL) {
      memory_drop(entry);
      status = SATCHEL_ERR_MEMORY;
    }
  }
  pthread_mutex_unlock(&store->mutex);
  return status;
}

static inline satchel_status memory_lookup(void* user, const char* key, size_t key_len,
                                           satchel_stored_answer* answer) {
  struct memory_store* const store = user;
  const struct memory_entry* entry = NULL;
  satchel_status status = memory_enter(store, 'l');
  (void)key_len;
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&store->mutex);
  entry = memory_find(store, key);
  if (entry != NULL) {
    status = satchel_stored_set(answer, entry->payload, entry->payload_len, entry->meta,
                                entry->meta_len);
  }
  pthread_mutex_unlock(&store->mutex);
  return status;
}

static inline satchel_status memory_remove(void* user, const char* key, size_t key_len,
                                           int32_t* removed) {
  struct memory_store* const store = user;
  struct memory_entry* entry = NULL;
  const satchel_status status = memory_enter(store, 'r');
  (void)key_len;
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&store->mutex);
  entry = memory_find(store, key);
  *removed = entry != NULL;
  if (entry != NULL) memory_drop(entry);
  pthread_mutex_unlock(&store->mutex);
  return SATCHEL_OK;
}

static inline satchel_status memory_contains(void* user, const char* key, size_t key_len,
                                             int32_t* present) {
  struct memory_store* const store = user;
  const satchel_status status = memory_enter(store, 'c');
  (void)key_len;
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&store->mutex);
  *present = memory_find(store, key) != NULL;
  pthread_mutex_unlock(&store->mutex);
  return SATCHEL_OK;
}

static inline satchel_status memory_iterate(void* user, satchel_keys_answer* answer) {
  struct memory_store* const store = user;
  size_t i = 0;
  satchel_status status = memory_enter(store, 'i');
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&store->mutex);
  for (i = 0; i < MEMORY_STORE_ENTRIES && status == SATCHEL_OK; ++i) {
    const struct memory_entry* const entry = &store->entries[i];
    if (entry->stored != 0) {
      status = satchel_keys_add(answer, entry->key, 64, entry->meta, entry->meta_len);
    }
  }
  pthread_mutex_unlock(&store->mutex);
  return status;
}

static inline uint64_t memory_sum(const struct memory_store* store) {
  uint64_t sum = 0;
  size_t i = 0;
  for (i = 0; i < MEMORY_STORE_ENTRIES; ++i) {
    sum += store->entries[i].payload_len + store->entries[i].meta_len;
  }
  return sum;
}

static inline satchel_status memory_total_bytes(void* user, uint64_t* bytes) {
  struct memory_store* const store = user;
  const satchel_status status = memory_enter(store, 't');
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&store->mutex);
  *bytes = memory_sum(store);
  pthread_mutex_unlock(&store->mutex);
  return SATCHEL_OK;
}

/* The oldest first. */
static inline satchel_status memory_evict_to_cap(void* user, uint64_t cap,
                                                 satchel_keys_answer* answer) {
  struct memory_store* const store = user;
  satchel_status status = memory_enter(store, 'e');
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&store->mutex);
  while (memory_sum(store) > cap && status == SATCHEL_OK) {
    struct memory_entry* oldest = NULL;
    size_t i = 0;
    for (i = 0; i < MEMORY_STORE_ENTRIES; ++i) {
      struct memory_entry* const entry = &store->entries[i];
      if (entry->stored != 0 && (oldest == NULL || entry->stored < oldest->stored)) oldest = entry;
    }
    if (oldest == NULL) break;
    status = satchel_keys_add(answer, oldest->key, 64, NULL, 0);
    memory_drop(oldest);
  }
  pthread_mutex_unlock(&store->mutex);
  return status;
}

static inline void memory_release(void* user) { ++((struct memory_store*)user)->releases; }

/* Empties the store and gives the table that hands it over. */
static inline satchel_tool_store memory_table(struct memory_store* store) {
  satchel_tool_store table = SATCHEL_TOOL_STORE_INIT;
  memset(store, 0, sizeof *store);
  pthread_mutex_init(&store->mutex, NULL);
  table.user = store;
  table.release = memory_release;
  table.persist = memory_persist;
  table.lookup = memory_lookup;
  table.remove = memory_remove;
  table.contains = memory_contains;
  table.iterate = memory_iterate;
  table.total_bytes = memory_total_bytes;
  table.evict_to_cap = memory_evict_to_cap;
  return table;
}

static inline void memory_clear(struct memory_store* store) {
  size_t i = 0;
  for (i = 0; i < MEMORY_STORE_ENTRIES; ++i) memory_drop(&store->entries[i]);
}

#endif
