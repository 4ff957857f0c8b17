// The functions that are the same with every library. Included last: they call the others, and the
// classes (Moving, Changing, ...) are each library's own.

#pragma once

#include <algorithm>
#include <cstdint>

extern "C" {

// -- iter_2c -------------------------------------------------------------------------------------

void moving_free(void *held) { delete static_cast<Moving *>(held); }

// -- iter_frag26 ---------------------------------------------------------------------------------

void fragmented_free(void *held) { delete static_cast<Fragmented *>(held); }

// -- spawn_4c ------------------------------------------------------------------------------------

void *spawning_new(std::int64_t n, const float *columns) { return new Spawning{n, columns}; }

void spawning_free(void *held) { delete static_cast<Spawning *>(held); }

std::int64_t spawning_read(void *held, std::int64_t n, float *out) {
    return static_cast<Spawning *>(held)->read(n, out);
}

// -- add_remove_all, add_remove_tenth ------------------------------------------------------------

void *changing_new(std::int64_t n, const float *columns) { return new Changing{n, columns}; }

void changing_free(void *held) { delete static_cast<Changing *>(held); }

std::int64_t changing_add_all(void *held) {
    auto &changing = *static_cast<Changing *>(held);
    changing.give(changing.all);
    return 0;
}

std::int64_t changing_all(void *held) { return changing_add_all(held) + changing_remove_all(held); }

std::int64_t changing_pick(void *held, std::int64_t k, const std::int64_t *places) {
    auto &changing = *static_cast<Changing *>(held);
    changing.some.clear();
    for (std::int64_t i = 0; i < k; ++i)
        changing.some.push_back(changing.all[places[i]]);
    return k;
}

std::int64_t changing_add_some(void *held) {
    auto &changing = *static_cast<Changing *>(held);
    changing.give(changing.some);
    return 0;
}

std::int64_t changing_remove_some(void *held) {
    auto &changing = *static_cast<Changing *>(held);
    changing.take(changing.some);
    return 0;
}

std::int64_t changing_some(void *held) {
    return changing_add_some(held) + changing_remove_some(held);
}

std::int64_t changing_read(void *held, std::int64_t n, float *out) {
    return static_cast<Changing *>(held)->read(n, out);
}

// -- despawn_spawn_tenth -------------------------------------------------------------------------

void *churning_new(std::int64_t n, const float *columns) { return new Churning{n, columns}; }

void churning_free(void *held) { delete static_cast<Churning *>(held); }

std::int64_t churning_pick(
    void *held, std::int64_t k, const std::int64_t *places, const float *born) {
    auto &churning = *static_cast<Churning *>(held);
    churning.places.assign(places, places + k);
    churning.going.clear();
    for (std::int64_t i = 0; i < k; ++i)
        churning.going.push_back(churning.all[places[i]]);
    churning.rows = Rows{k, born};
    return k;
}

std::int64_t churning_read(void *held, std::int64_t n, float *out) {
    return static_cast<Churning *>(held)->read(n, out);
}

// -- sweep_decay ---------------------------------------------------------------------------------

void minds_free(void *held) { delete static_cast<Minds *>(held); }

// -- prune_owners --------------------------------------------------------------------------------

void *hoard_new(std::int64_t n, const std::uint32_t *owner, const float *importance) {
    auto *hoard = new Hoard;
    hoard_add(hoard, n, owner, importance);
    return hoard;
}

void hoard_free(void *held) { delete static_cast<Hoard *>(held); }

std::int64_t hoard_read(
    void *held, std::int64_t n, std::uint32_t *owner, float *importance) {
    auto &hoard = *static_cast<Hoard *>(held);
    hoard.look();
    const auto there = static_cast<std::int64_t>(hoard.owner.size());
    std::copy_n(hoard.owner.begin(), std::min(n, there), owner);
    std::copy_n(hoard.importance.begin(), std::min(n, there), importance);
    return there;
}

// -- edges_update --------------------------------------------------------------------------------

void edges_free(void *held) { delete static_cast<Edges *>(held); }

} // extern "C"
